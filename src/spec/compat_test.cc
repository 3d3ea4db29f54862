// Fluid's documents in tests/compat: they parse, default, are explained, and come back.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "spec/build.h"
#include "spec/explain.h"

namespace forebay {
namespace {

std::string Read(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

std::string StoredAgain(const DatasetSpec& spec) {
  return ToJson(DatasetFromJson(ToJson(spec)).value());
}
std::string StoredAgain(const RuntimeSpec& spec) {
  return ToJson(RuntimeFromJson(ToJson(spec)).value());
}
std::string Stored(const Document& document) {
  return std::visit([](const auto& spec) { return ToJson(spec); }, document.spec);
}

std::vector<std::filesystem::path> Samples() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(FOREBAY_COMPAT_DIR)) {
    if (entry.path().filename() != "article-cronhpa.yaml") paths.push_back(entry.path());
  }
  return paths;
}

TEST(Compat, SamplesParseAndComeBack) {
  ASSERT_GE(Samples().size(), 12u);
  for (const auto& path : Samples()) {
    SCOPED_TRACE(path.filename());
    const Result<ParsedDocuments> parsed = ParseDocuments(Read(path), "f");
    ASSERT_TRUE(parsed.ok()) << parsed.error().message();
    for (const Warning& warning : parsed.value().warnings) {
      EXPECT_EQ(warning.message.find("no such field"), std::string::npos) << warning.path;
    }
    for (const Document& document : parsed.value().documents) {
      EXPECT_EQ(std::visit([](const auto& spec) { return StoredAgain(spec); }, document.spec),
                Stored(document));
      const Result<ParsedDocuments> again = ParseDocuments(document.written, "f");
      ASSERT_TRUE(again.ok()) << again.error().message();
      EXPECT_EQ(Stored(again.value().documents.at(0)), Stored(document));
      EXPECT_EQ(again.value().documents[0].written, document.written);
    }
  }
}

TEST(Compat, EveryRowSaysSomething) {
  for (const auto& path : Samples()) {
    SCOPED_TRACE(path.filename());
    std::set<std::pair<std::string, std::string>> seen;
    for (const Explanation& row : Explain(ParseDocuments(Read(path), "f").value())) {
      EXPECT_TRUE(seen.emplace(row.document, row.path).second) << row.path;
      EXPECT_FALSE(row.meaning.empty()) << row.path;
      EXPECT_EQ(row.value.find("hunter2"), std::string::npos);
      EXPECT_TRUE(row.level == Explanation::Level::kOk || !row.remedy.empty()) << row.path;
    }
  }
}

TEST(Compat, ArticleMeansWhatItsAuthorMeant) {
  const Result<ParsedDocuments> parsed = ParseDocuments(
      Read(std::filesystem::path(FOREBAY_COMPAT_DIR) / "article-dataset-runtime.yaml"), "f");
  ASSERT_TRUE(parsed.ok());
  EXPECT_TRUE(parsed.value().warnings.empty());
  const auto& dataset = std::get<DatasetSpec>(parsed.value().documents.at(0).spec);
  EXPECT_EQ(dataset.name, "metabit-juice-research");
  EXPECT_EQ(dataset.mounts.at(0).other_options.at("cache-group"), "research-groups");
  EXPECT_EQ(dataset.mounts.at(0).secrets.size(), 3u);
  EXPECT_EQ(NotBound(dataset)->reason, "JuiceFSCloudVolume");
  const auto& runtime = std::get<RuntimeSpec>(parsed.value().documents.at(1).spec);
  EXPECT_EQ(runtime.replicas, 5u);
  EXPECT_EQ(runtime.memory_bytes(), 40ull << 30);
  EXPECT_EQ(runtime.options, (OptionMap{{"cache-size", "409600"}, {"free-space-ratio", "0.15"}}));
}

TEST(Compat, CronHpaIsNamed) {
  const Result<ParsedDocuments> parsed = ParseDocuments(
      Read(std::filesystem::path(FOREBAY_COMPAT_DIR) / "article-cronhpa.yaml"), "cron.yaml");
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().message().find(
                "cron.yaml: document 1: kind \"CronHorizontalPodAutoscaler\": not accepted by this "
                "version; accepted now are Dataset, AlluxioRuntime"),
            0u);
}

}  // namespace
}  // namespace forebay
