# `cpack -G DEB` in the build folder makes forebay_VERSION_ARCH.deb: the program, mount(8)'s helper,
# the units of systemd, and what administrators change below /etc/forebay.

include(GNUInstallDirs)
install(TARGETS forebay RUNTIME DESTINATION bin)
install(FILES deploy/systemd/forebay-control.service deploy/systemd/forebay-worker.service
              deploy/systemd/forebay-near.service
        DESTINATION /lib/systemd/system)
install(FILES deploy/etc/control.yaml deploy/etc/worker.yaml deploy/etc/near.yaml
        DESTINATION /etc/forebay)
install(FILES deploy/etc/environment DESTINATION /etc/forebay PERMISSIONS OWNER_READ OWNER_WRITE)
install(FILES README.md SEMANTICS.md docs/mount.md DESTINATION share/doc/forebay)
install(FILES deploy/examples/mnt-prices.mount deploy/examples/mnt-prices.automount
        DESTINATION share/doc/forebay/examples)
# What mount(8) looks for, of types forebay and fuse.forebay.
foreach(helper mount.forebay mount.fuse.forebay)
  file(CREATE_LINK ../bin/forebay ${PROJECT_BINARY_DIR}/${helper} SYMBOLIC)
  install(FILES ${PROJECT_BINARY_DIR}/${helper} DESTINATION sbin)
endforeach()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_NAME forebay)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "Forebay <forebay@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Elastic, distributed dataset cache for bursts of compute")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${PROJECT_SOURCE_DIR}/deploy/conffiles)
set(CPACK_STRIP_FILES ON)
include(CPack)
