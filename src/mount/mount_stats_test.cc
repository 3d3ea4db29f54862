#include "mount/mount_stats.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace forebay {
namespace {

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(MountStats, CountsAnswers) {
  MountStats stats;
  const Request read{.call = ReadCall{}};
  const auto text = [] {
    return MountStats::Text({.source_bytes = {.local = 1, .peer = 2, .upstream = 3},
                             .nodes = 4,
                             .open_files = 5,
                             .members = {}});
  };
  EXPECT_TRUE(Has(text(), "forebay_mount_requests_total{operation=\"read\"} 0\n"));
  stats.Count(read, 0, 4096);
  stats.Count(read, EIO, 0);
  stats.Count({.call = LookupCall{}}, ENOENT, 0);
  stats.Count({.call = UnknownCall{}}, ENOSYS, 0);
  const std::string after = text();
  for (const std::string line :
       {"forebay_mount_requests_total{operation=\"read\"} 2",
        "forebay_mount_requests_total{operation=\"lookup\"} 1",
        "forebay_mount_errors_total{errno=\"EIO\"} 1", "forebay_mount_read_bytes_total 4096",
        "forebay_mount_source_bytes_total{source=\"local\"} 1",
        "forebay_mount_source_bytes_total{source=\"peer\"} 2",
        "forebay_mount_source_bytes_total{source=\"upstream\"} 3", "forebay_mount_nodes_count 4",
        "forebay_mount_open_files_count 5"}) {
    EXPECT_TRUE(Has(after, '\n' + line + '\n')) << line << " in " << after;
  }
  EXPECT_FALSE(Has(after, "\"ENOENT\""));
  EXPECT_FALSE(Has(after, "\"ENOSYS\""));
}

TEST(MountStats, StatusIsJson) {
  const std::string text =
      MountStatusText({.version = "1.2.3",
                       .source = "p\"\xff",
                       .root = "forebay://p.default/",
                       .directory = "/m",
                       .config = ""},
                      {.source_bytes = {.peer = 9}, .members = {{"w-0", "unix:/w"}}});
  EXPECT_TRUE(Has(text, "\"version\": \"1.2.3\""));
  EXPECT_TRUE(Has(text, "\"source\": \"p\\\"\xEF\xBF\xBD\""));
  EXPECT_TRUE(Has(text, "\"name\": \"w-0\""));
  EXPECT_TRUE(Has(text, "\"peer\": 9"));
  EXPECT_TRUE(text.ends_with("}\n"));
}

}  // namespace
}  // namespace forebay
