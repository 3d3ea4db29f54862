#include "client/walk.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace forebay {
namespace {

namespace fs = std::filesystem;

class WalkTest : public testing::Test {
 protected:
  WalkTest() {
    std::string pattern = testing::TempDir() + "walk-XXXXXX";
    directory_ = mkdtemp(pattern.data());
    fs::create_directories(directory_ / "b/c");
    for (const char* name : {"a", "b/c/x", "b/y", "z"}) std::ofstream(directory_ / name) << name;
    client_ = Client::Create({}).value();
  }
  ~WalkTest() override { fs::remove_all(directory_); }

  std::string Url(const std::string& name) const { return "file://" + directory_.string() + name; }

  // What Walk visits, by its relative name.
  std::vector<std::string> Visited(const std::string& url, const WalkOptions& options) {
    std::vector<std::string> names;
    const Result<WalkOutcome> outcome =
        Walk(*client_, url, options, [&names](const WalkedEntry& entry) -> Status {
          names.push_back(entry.relative);
          return {};
        });
    EXPECT_TRUE(outcome.ok());
    return names;
  }

  fs::path directory_;
  std::unique_ptr<Client> client_;
};

using Names = std::vector<std::string>;

TEST_F(WalkTest, FilesInListingOrder) {
  for (const char* end : {"", "/"}) {
    EXPECT_EQ(Visited(Url(end), {}), (Names{"a", "b/c/x", "b/y", "z"}));
  }
}

TEST_F(WalkTest, DirectoriesComeBeforeWhatIsInThem) {
  EXPECT_EQ(Visited(Url(""), {.directories = true}), (Names{"a", "b", "b/c", "b/c/x", "b/y", "z"}));
}

TEST_F(WalkTest, OneLevel) {
  EXPECT_EQ(Visited(Url(""), {.recursive = false, .directories = true}), (Names{"a", "b", "z"}));
}

TEST_F(WalkTest, AFileIsItsOwnOnlyEntry) {
  EXPECT_EQ(Visited(Url("/b/y"), {}), (Names{""}));
}

TEST_F(WalkTest, FilesOfSeveralUrls) {
  const std::vector<std::string> urls = {Url("/z"), Url("/b")};
  const Result<WalkedFiles> walked = WalkFiles(*client_, urls, {});
  ASSERT_TRUE(walked.ok());
  ASSERT_EQ(walked.value().files.size(), 3u);
  EXPECT_EQ(walked.value().files[0].url, Url("/z"));
  EXPECT_EQ(walked.value().files[1].url, Url("/b/c/x"));
  EXPECT_EQ(walked.value().bytes, 1u + 5u + 3u);
}

TEST_F(WalkTest, AnErrorOfTheVisitorEndsTheWalk) {
  int visits = 0;
  const Result<WalkOutcome> outcome =
      Walk(*client_, Url(""), {}, [&visits](const WalkedEntry&) -> Status {
        ++visits;
        return Error(Code::kInternal, "enough");
      });
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().message(), "enough");
  EXPECT_EQ(visits, 1);
}

TEST_F(WalkTest, WhatIsNotThereIsNamed) {
  const Result<WalkOutcome> outcome =
      Walk(*client_, Url("/none"), {}, [](const WalkedEntry&) -> Status { return {}; });
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code(), Code::kNotFound);
  EXPECT_NE(outcome.error().message().find(Url("/none")), std::string::npos);
}

}  // namespace
}  // namespace forebay
