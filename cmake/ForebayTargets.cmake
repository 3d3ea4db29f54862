# One library per folder of src/. A library may depend only on libraries of a lower layer, so the
# graph has no cycles and reads top down; the configure step fails otherwise.
# tests/tidy/check_includes.py (run by CTest) holds #include lines to the same DEPS.

option(FOREBAY_PCH "Precompile the standard headers that most files include" ON)
option(FOREBAY_BENCH "Build the micro benchmarks (Google Benchmark)" OFF)
set(FOREBAY_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize= takes them")

set(FOREBAY_WARNINGS -Wall -Wextra -Wshadow -Wconversion -Wswitch-enum -Wnon-virtual-dtor
                     -Woverloaded-virtual -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 sees overflows in std::string's operator+ that are not there (GCC bug 105651).
  list(APPEND FOREBAY_WARNINGS -Wno-restrict -Wno-stringop-overflow -Wno-stringop-overread)
  # Clang's -Wconversion holds it: what the release build lets pass must also build for TSan. What
  # GCC's sanitizers add to the code has signs of its own.
  if(NOT FOREBAY_SANITIZE)
    list(APPEND FOREBAY_WARNINGS -Wsign-conversion)
  endif()
else()
  list(APPEND FOREBAY_WARNINGS -Wthread-safety)
endif()
if(FOREBAY_SANITIZE)
  # UBSan goes on after a finding unless told otherwise, and the test would pass.
  add_compile_options(-fsanitize=${FOREBAY_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${FOREBAY_SANITIZE})
endif()

# The headers that measurably pay: see docs/ci.md for the build's minutes.
set(FOREBAY_PCH_HEADERS <algorithm> <array> <chrono> <condition_variable> <cstdint> <expected>
                        <functional> <map> <memory> <mutex> <optional> <span> <stop_token> <string>
                        <string_view> <unordered_map> <vector>)

function(forebay_target_defaults target)
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_compile_options(${target} PRIVATE ${FOREBAY_WARNINGS})
endfunction()

# forebay_library(name LAYER n SOURCES a.cc... [DEPS folder...] [LINKS target...])
function(forebay_library name)
  cmake_parse_arguments(ARG "" "LAYER" "SOURCES;DEPS;LINKS" ${ARGN})
  add_library(forebay_${name} STATIC ${ARG_SOURCES})
  forebay_target_defaults(forebay_${name})
  set_target_properties(forebay_${name} PROPERTIES FOREBAY_LAYER ${ARG_LAYER})
  if(name STREQUAL "base")
    if(FOREBAY_PCH)
      target_precompile_headers(forebay_base PRIVATE ${FOREBAY_PCH_HEADERS})
    endif()
  else()
    list(PREPEND ARG_DEPS base)
    list(REMOVE_DUPLICATES ARG_DEPS)
    if(FOREBAY_PCH)
      target_precompile_headers(forebay_${name} REUSE_FROM forebay_base)
    endif()
  endif()
  foreach(dep IN LISTS ARG_DEPS)
    if(NOT TARGET forebay_${dep})
      message(FATAL_ERROR "${name} (layer ${ARG_LAYER}) depends on ${dep}, which comes later")
    endif()
    get_target_property(dep_layer forebay_${dep} FOREBAY_LAYER)
    if(NOT dep_layer LESS ARG_LAYER)
      message(FATAL_ERROR
              "${name} (layer ${ARG_LAYER}) may not depend on ${dep} (layer ${dep_layer})")
    endif()
    target_link_libraries(forebay_${name} PUBLIC forebay_${dep})
  endforeach()
  target_link_libraries(forebay_${name} PUBLIC fmt::fmt Threads::Threads PRIVATE ${ARG_LINKS})
endfunction()

# `unit_tests` builds every unit test and `fuzzers` every fuzz target, and nothing else.
add_custom_target(unit_tests)
add_custom_target(fuzzers)

# forebay_test(folder a_test.cc...): one executable with all unit tests of a folder.
function(forebay_test folder)
  add_executable(${folder}_test ${ARGN})
  forebay_target_defaults(${folder}_test)
  target_link_libraries(${folder}_test PRIVATE forebay_${folder} GTest::gtest GTest::gtest_main)
  if(FOREBAY_PCH)
    target_precompile_headers(${folder}_test REUSE_FROM forebay_base)
  endif()
  add_dependencies(unit_tests ${folder}_test)
  add_test(NAME unit.${folder} COMMAND ${folder}_test)
  set_tests_properties(unit.${folder} PROPERTIES LABELS "unit" TIMEOUT 120)
endfunction()

# forebay_fuzz(name folder...): tests/fuzz/name_fuzz.cc over the libraries of `folder`s, with the
# committed inputs of tests/fuzz/corpus/name. In the fuzz build libFuzzer searches for
# FOREBAY_FUZZ_SECONDS; in every other one the inputs and small changes of them are replayed.
set(FOREBAY_FUZZ_SECONDS 10 CACHE STRING "How long each fuzz target searches in the fuzz build")
function(forebay_fuzz name)
  set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${name})
  add_executable(${name}_fuzz ${name}_fuzz.cc)
  forebay_target_defaults(${name}_fuzz)
  foreach(folder IN LISTS ARGN)
    target_link_libraries(${name}_fuzz PRIVATE forebay_${folder})
  endforeach()
  if(FOREBAY_PCH)
    target_precompile_headers(${name}_fuzz REUSE_FROM forebay_base)
  endif()
  add_dependencies(fuzzers ${name}_fuzz)
  if(FOREBAY_SANITIZE MATCHES "fuzzer")
    target_link_options(${name}_fuzz PRIVATE -fsanitize=fuzzer)
    set(found ${CMAKE_CURRENT_BINARY_DIR}/found/${name}/)
    file(MAKE_DIRECTORY ${found})
    # New inputs go to the first directory.
    add_test(NAME fuzz.${name}
             COMMAND ${name}_fuzz -max_total_time=${FOREBAY_FUZZ_SECONDS} -timeout=5 -max_len=65536
                     -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix=${found} ${found}
                     ${corpus})
  else()
    target_sources(${name}_fuzz PRIVATE replay_main.cc)
    add_test(NAME fuzz.${name} COMMAND ${name}_fuzz ${corpus})
  endif()
  set_tests_properties(fuzz.${name} PROPERTIES LABELS "fuzz" TIMEOUT 60)
endfunction()

# forebay_bench(folder a_bench.cc...): one executable with all micro benchmarks of a folder.
function(forebay_bench folder)
  if(NOT FOREBAY_BENCH)
    return()
  endif()
  find_package(benchmark REQUIRED)
  add_executable(${folder}_bench ${ARGN})
  forebay_target_defaults(${folder}_bench)
  target_link_libraries(${folder}_bench PRIVATE forebay_${folder} benchmark::benchmark_main)
endfunction()
