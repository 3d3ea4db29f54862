#include "app/listing.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "app/output.h"

namespace forebay {
namespace {

constexpr std::int64_t kNewYear2026 = 1'767'225'600'000'000'000;

ListedEntry Directory(std::string name) {
  return {std::move(name), {.type = FileType::kDirectory, .version = ""}};
}

std::vector<ListedEntry> Some() {
  return {{"a\nb", {.size = 1536, .mtime_ns = kNewYear2026, .version = "\"e\""}}, Directory("d")};
}

TEST(Listing, JsonIsWhatScriptsKnow) {
  const auto json = nlohmann::json::parse(FormatListing(Some(), "json"));
  ASSERT_EQ(json.size(), 2u);
  EXPECT_EQ(json[0]["name"], "a\nb");
  EXPECT_EQ(json[0]["type"], "file");
  EXPECT_EQ(json[0]["size"], 1536u);
  EXPECT_EQ(json[0]["mtime"], "2026-01-01T00:00:00Z");
  EXPECT_EQ(json[0]["version"], "\"e\"");
  EXPECT_EQ(json[1]["type"], "dir");
  EXPECT_TRUE(json[1]["mtime"].is_null());
  EXPECT_TRUE(json[1]["version"].is_null());
  EXPECT_EQ(json[1].size(), 5u);
  EXPECT_EQ(FormatListing({}, "json"), "[]\n");
}

TEST(Listing, NamesThatAreNotTextDoNotBreakJson) {
  const std::string text = FormatListing({{"\xff", {}}}, "json");
  EXPECT_EQ(nlohmann::json::parse(text)[0]["name"], "\xef\xbf\xbd");
}

TEST(Listing, TablesAreOneLineAnEntry) {
  EXPECT_EQ(FormatListing(Some(), "table"),
            "TYPE  SIZE     MTIME                 NAME\n"
            "file  1.5 KiB  2026-01-01T00:00:00Z  a\\nb\n"
            "dir   -        -                     d\n");
  EXPECT_EQ(FormatListing(Some(), "wide"),
            "TYPE  SIZE  MTIME                 VERSION  NAME\n"
            "file  1536  2026-01-01T00:00:00Z  \"e\"      a\\nb\n"
            "dir   -     -                     -        d\n");
  EXPECT_EQ(FormatListing(Some(), "name"), "a\nb\nd\n");
  EXPECT_EQ(FormatListing({}, "table"), "");
}

TEST(Listing, Yaml) {
  EXPECT_EQ(FormatListing({Directory("d")}, "yaml"),
            "- name: \"d\"\n  type: dir\n  size: 0\n  mtime: ~\n  version: ~\n");
  EXPECT_EQ(FormatListing({}, "yaml"), "[]\n");
}

TEST(OneLine, EscapesWhatWouldMoveTheCursor) {
  EXPECT_EQ(OneLine("a\nb\t\x1b[31m\x7f\xc3\xa9"), "a\\nb\\t\\x1b[31m\\x7f\xc3\xa9");
}

}  // namespace
}  // namespace forebay
