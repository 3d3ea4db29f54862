#include "mount/mount_point.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

TEST(MountInfo, LinesWithAndWithoutOptionalFields) {
  const std::vector<MountedAt> mounts = ParseMountInfo(
      "22 1 8:1 / / rw,relatime shared:1 master:2 - ext4 /dev/sda1 rw\n"
      "36 22 0:44 / /mnt/a\\040b\\134c ro,nosuid,nodev - fuse.forebay s3://lake/x\\011y ro\n");
  ASSERT_EQ(mounts.size(), 2u);
  EXPECT_EQ(mounts[0].directory, "/");
  EXPECT_EQ(mounts[0].type, "ext4");
  EXPECT_EQ(mounts[1].directory, "/mnt/a b\\c");
  EXPECT_EQ(mounts[1].type, kMountType);
  EXPECT_EQ(mounts[1].source, "s3://lake/x\ty");
  EXPECT_EQ(mounts[1].device, "0:44");
}

TEST(MountInfo, WhatIsNotLikeThatIsLeftOut) {
  EXPECT_TRUE(ParseMountInfo("").empty());
  EXPECT_TRUE(ParseMountInfo("22 1 8:1 / /\n\n22\n").empty());
  // A backslash that begins no number stays.
  EXPECT_EQ(ParseMountInfo("1 2 3:4 / /a\\04 x - t s\n").at(0).directory, "/a\\04");
  EXPECT_EQ(ParseMountInfo("1 2 3:4 / /a\\999 x - t s\n").at(0).directory, "/a\\999");
}

TEST(MountPath, WhatIsMountedThereIsNotAsked) {
  EXPECT_EQ(MountPath("/proc/no-such-name").value(), "/proc/no-such-name");
  EXPECT_EQ(MountPath("/proc/./no-such-name///").value(), "/proc/no-such-name");
  EXPECT_EQ(MountPath("/").value(), "/");
  EXPECT_EQ(MountPath("/proc/..").value(), "/");
  EXPECT_EQ(MountPath("/no-such-directory/x").error().code(), Code::kNotFound);
}

}  // namespace
}  // namespace forebay
