#include "mount/own_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "mount/nodes.h"

namespace forebay {
namespace {

constexpr std::uint64_t kDirectory = OwnFiles::kFirstNode;
constexpr std::uint64_t kStatus = kDirectory + 1;
constexpr std::uint64_t kFirstHandle = 1000;

template <typename T>
T StructOf(const OwnFiles::Reply& reply) {
  T value{};
  EXPECT_EQ(reply.error, 0);
  EXPECT_GE(reply.body.size(), sizeof(T));
  std::memcpy(&value, reply.body.data(), std::min(reply.body.size(), sizeof(T)));
  return value;
}

std::string TextOf(const OwnFiles::Reply& reply) {
  EXPECT_EQ(reply.error, 0);
  return {reinterpret_cast<const char*>(reply.body.data()), reply.body.size()};
}

class OwnFilesTest : public ::testing::Test {
 protected:
  OwnFiles::Reply Ask(std::uint64_t node, FuseCall call) {
    Request request{.node = node, .call = std::move(call)};
    EXPECT_TRUE(OwnFiles::Concerns(request));
    return own_.Handle(request);
  }
  std::string ReadAll(std::uint64_t handle) {
    return TextOf(Ask(kStatus, ReadCall{.handle = handle, .offset = 0, .size = 100}));
  }
  // The names in a listing that is read with room for `size` bytes at a time.
  std::vector<std::string> Names(std::uint32_t size, bool plus) {
    std::vector<std::string> names;
    for (std::uint64_t offset = 0;;) {
      const OwnFiles::Reply reply =
          Ask(kDirectory, ReadDirectoryCall{.offset = offset, .size = size, .plus = plus});
      if (reply.body.empty()) return names;
      for (std::size_t at = 0; at < reply.body.size();) {
        fuse_dirent entry{};
        const std::size_t begin = at + (plus ? sizeof(fuse_entry_out) : 0);
        std::memcpy(&entry, reply.body.data() + begin, offsetof(fuse_dirent, name));
        names.emplace_back(
            reinterpret_cast<const char*>(reply.body.data() + begin + offsetof(fuse_dirent, name)),
            entry.namelen);
        at = begin + FUSE_DIRENT_ALIGN(offsetof(fuse_dirent, name) + entry.namelen);
        offset = entry.off;
      }
    }
  }

  std::string status_ = "all is well";
  OwnFiles own_{{{"status", [this] { return status_; }}, {"config", [] { return "a: b\n"; }}},
                {.uid = 7},
                kFirstHandle};
};

TEST_F(OwnFilesTest, IsFoundByNameAtTheRootAlone) {
  const auto concerns = [](std::uint64_t node, FuseCall call) {
    return OwnFiles::Concerns(Request{.node = node, .call = std::move(call)});
  };
  EXPECT_TRUE(concerns(kRootNode, LookupCall{".forebay"}));
  EXPECT_FALSE(concerns(kRootNode, LookupCall{".forebay2"}));
  EXPECT_FALSE(concerns(kRootNode + 1, LookupCall{".forebay"}));
  EXPECT_FALSE(concerns(kRootNode, GetAttributesCall{}));
  EXPECT_TRUE(concerns(kStatus, GetAttributesCall{}));
  EXPECT_FALSE(concerns(kStatus, StatFsCall{}));

  const auto directory = StructOf<fuse_entry_out>(Ask(kRootNode, LookupCall{".forebay"}));
  EXPECT_EQ(directory.nodeid, kDirectory);
  EXPECT_TRUE(S_ISDIR(directory.attr.mode));
  const auto file = StructOf<fuse_entry_out>(Ask(kDirectory, LookupCall{"status"}));
  EXPECT_EQ(file.nodeid, kStatus);
  EXPECT_EQ(file.attr.size, status_.size());
  EXPECT_EQ(file.attr.uid, 7u);
  EXPECT_EQ(file.attr_valid, 0u);  // It changes.
  EXPECT_EQ(Ask(kDirectory, LookupCall{"none"}).error, ENOENT);
  EXPECT_EQ(Ask(kStatus, LookupCall{"x"}).error, ENOTDIR);
}

TEST_F(OwnFilesTest, HoldsWhatItHeldWhenItWasOpened) {
  const auto opened = StructOf<fuse_open_out>(Ask(kStatus, OpenCall{O_RDONLY}));
  EXPECT_EQ(opened.fh, kFirstHandle);
  EXPECT_EQ(opened.open_flags, static_cast<std::uint32_t>(FOPEN_DIRECT_IO));
  status_ = "now it is not";
  EXPECT_EQ(ReadAll(opened.fh), "all is well");
  EXPECT_EQ(TextOf(Ask(kStatus, ReadCall{opened.fh, 4, 2})), "is");
  EXPECT_EQ(TextOf(Ask(kStatus, ReadCall{opened.fh, 11, 5})), "");
  EXPECT_EQ(TextOf(Ask(kStatus, ReadCall{opened.fh, 1'000'000, 5})), "");
  Ask(kStatus, ReleaseCall{opened.fh});
  // Of a process before this one.
  EXPECT_EQ(ReadAll(opened.fh), "now it is not");
  status_ = "again";
  EXPECT_EQ(ReadAll(opened.fh), "now it is not");
  EXPECT_EQ(StructOf<fuse_attr_out>(Ask(kStatus, GetAttributesCall{})).attr.size, 5u);
}

TEST_F(OwnFilesTest, ListsItsFiles) {
  const std::vector<std::string> names = {".", "..", "status", "config"};
  for (const bool plus : {false, true}) {
    EXPECT_EQ(Names(4096, plus), names);
    EXPECT_EQ(Names(plus ? 200 : 40, plus), names);  // One at a time.
  }
}

TEST_F(OwnFilesTest, NothingCanBeChanged) {
  EXPECT_EQ(Ask(kStatus, OpenCall{O_WRONLY}).error, EROFS);
  EXPECT_EQ(Ask(kStatus, OpenCall{O_RDWR}).error, EROFS);
  EXPECT_EQ(Ask(kDirectory, ChangeCall{}).error, EROFS);
  EXPECT_EQ(Ask(kStatus, AccessCall{W_OK}).error, EROFS);
  EXPECT_EQ(Ask(kStatus, AccessCall{R_OK}).error, 0);
  EXPECT_EQ(Ask(kDirectory, OpenCall{O_RDONLY}).error, EISDIR);
  EXPECT_EQ(Ask(kStatus, OpenDirectoryCall{}).error, ENOTDIR);
  EXPECT_EQ(Ask(kStatus, GetXattrCall{10, "user.forebay.cached"}).error, ENODATA);
  EXPECT_EQ(Ask(kStatus + 7, GetAttributesCall{}).error, ESTALE);
}

}  // namespace
}  // namespace forebay
