#include "app/doctor.h"

#include <gtest/gtest.h>

namespace forebay {
namespace {

constexpr std::uint64_t kGi = 1u << 30;

TEST(Doctor, Kernels) {
  EXPECT_EQ(JudgeKernel("6.1.0-17-amd64").health, Health::kOk);
  EXPECT_EQ(JudgeKernel("5.6.0").health, Health::kOk);
  EXPECT_EQ(JudgeKernel("5.4.0-100-generic").health, Health::kFail);
  EXPECT_EQ(JudgeKernel("4.18.0-553.el8").health, Health::kFail);
}

TEST(Doctor, Limits) {
  EXPECT_EQ(JudgeDescriptors(std::nullopt).health, Health::kOk);
  EXPECT_EQ(JudgeDescriptors(16384).health, Health::kOk);
  EXPECT_EQ(JudgeDescriptors(4096).health, Health::kWarn);
  EXPECT_EQ(JudgeDescriptors(256).health, Health::kFail);
  EXPECT_EQ(JudgeLockedMemory(64u << 10).health, Health::kWarn);
  EXPECT_EQ(JudgeLockedMemory(8u << 20).health, Health::kOk);
}

TEST(Doctor, MemoryIsWhatTheCgroupLeaves) {
  EXPECT_EQ(JudgeMemory(16 * kGi, 8 * kGi, std::nullopt).health, Health::kOk);
  EXPECT_EQ(JudgeMemory(16 * kGi, 8 * kGi, kGi / 2).health, Health::kWarn);
  EXPECT_EQ(JudgeMemory(16 * kGi, kGi / 2, std::nullopt).health, Health::kWarn);
}

TEST(Doctor, EveryFindingThatIsNotOkHasARemedy) {
  for (const Finding& finding : CheckMachine()) {
    EXPECT_EQ(finding.health == Health::kOk, finding.remedy.empty()) << finding.check;
  }
  EXPECT_EQ(CheckStateDirectory("/proc/version").health, Health::kFail);
}

TEST(Doctor, TextAndJson) {
  const std::vector<Finding> findings = {{"fuse", Health::kWarn, "not there", "load it"}};
  EXPECT_EQ(FindingsText(findings, 80),
            "warn  fuse       not there\n                 -> load it\n");
  EXPECT_EQ(FindingsJson(findings),
            R"([{"check":"fuse","status":"warn","detail":"not there","remedy":"load it"}])");
}

}  // namespace
}  // namespace forebay
