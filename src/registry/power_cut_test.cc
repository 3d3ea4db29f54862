// The registry on a disk that loses its power, or fills up, at every single change.
#include <gtest/gtest.h>

#include <cerrno>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "registry/fake_disk.h"
#include "registry/registry.h"

namespace forebay {
namespace {

// SQLite sees the fake disk; the registry itself creates this file on the real one.
std::string Path() {
  return testing::TempDir() + "forebay-registry-power-cut-" +
         testing::UnitTest::GetInstance()->current_test_info()->name();
}

// Everything it holds, except how often control was started: asking for that changes it.
struct Content {
  std::vector<StoredObject> objects;
  std::vector<StoredEvent> events;
  bool operator==(const Content&) const = default;
};

Content Read(Registry& registry) {
  Content content;
  for (const char* kind : {"Dataset", "Runtime"}) {
    const Result<std::vector<StoredObject>> objects = registry.List(kind);
    EXPECT_TRUE(objects.ok()) << objects.error().message();
    for (const StoredObject& object : objects.value()) content.objects.push_back(object);
  }
  content.events = registry.ListEvents(0).value();
  return content;
}

using Step = std::function<Status(Registry&)>;

template <typename T>
Status StatusOf(const Result<T>& result) {
  if (result.ok()) return {};
  return result.error();
}

std::vector<Step> Workload() {
  const auto put = [](const std::string& kind, const std::string& name, std::size_t size) {
    return [=](Registry& registry) {
      return StatusOf(registry.Put({kind, "ns", name, 0, std::string(size, 'j')}, std::nullopt));
    };
  };
  const auto event = [](Registry& registry) {
    return StatusOf(registry.AppendEvent(R"({"reason":"Created"})"));
  };
  const auto start = [](Registry& registry) { return StatusOf(registry.NextGeneration()); };
  return {start,
          put("Dataset", "a", 100),
          event,
          put("Dataset", "b", 20'000),  // Several pages.
          put("Dataset", "a", 9'000),
          put("Runtime", "r", 10),
          event,
          [](Registry& registry) {
            return StatusOf(registry.Delete("Dataset", "ns", "b", std::nullopt));
          },
          start,
          put("Dataset", "c", 15'000),
          [](Registry& registry) {  // All, or none.
            std::vector<StoredObject> objects;
            for (const char* name : {"d", "a", "e"}) {
              objects.push_back({"Dataset", "ns", name, 0, std::string(12'000, 'k')});
            }
            objects.push_back({"Runtime", "ns", "r", 0, "k"});
            return StatusOf(registry.PutAll(objects));
          }};
}

// What a cut left, and how many steps were acknowledged before.
struct Cut {
  FakeDisk::Files files;
  std::size_t acknowledged = 0;
  std::uint32_t starts = 0;
  auto operator<=>(const Cut&) const = default;
};

// Runs the workload; `contents[i]` is what must be there after i steps.
std::set<Cut> CutEverywhere(std::vector<Content>& contents) {
  FakeDisk disk;
  std::set<Cut> cuts;
  std::size_t acknowledged = 0;
  std::uint32_t starts = 0;
  Rng rng(1);
  disk.OnChange([&] {
    cuts.insert({disk.Now(), acknowledged, starts});
    cuts.insert({disk.LeftAtLeast(), acknowledged, starts});
    for (int i = 0; i < 3; ++i) cuts.insert({disk.LeftWithoutPower(rng), acknowledged, starts});
  });
  Result<std::unique_ptr<Registry>> registry = OpenSqliteRegistry(Path());
  EXPECT_TRUE(registry.ok()) << registry.error().message();
  contents.push_back(Read(*registry.value()));
  for (const Step& step : Workload()) {
    const Status status = step(*registry.value());
    EXPECT_TRUE(status.ok()) << status.error().message();
    ++acknowledged;
    if (acknowledged == 1 || acknowledged == 9) ++starts;
    contents.push_back(Read(*registry.value()));
    // Between two steps too.
    cuts.insert({disk.LeftAtLeast(), acknowledged, starts});
    for (int i = 0; i < 3; ++i) cuts.insert({disk.LeftWithoutPower(rng), acknowledged, starts});
  }
  return cuts;
}

TEST(RegistryPowerCut, NothingAcknowledgedIsLost) {
  std::vector<Content> contents;
  const std::set<Cut> cuts = CutEverywhere(contents);
  EXPECT_GT(cuts.size(), 300u);
  for (const Cut& cut : cuts) {
    SCOPED_TRACE(std::to_string(cut.acknowledged) + " steps were acknowledged");
    const FakeDisk disk(cut.files);
    Result<std::unique_ptr<Registry>> registry = OpenSqliteRegistry(Path());
    ASSERT_TRUE(registry.ok()) << registry.error().message();
    const Content found = Read(*registry.value());
    const bool before = found == contents[cut.acknowledged];
    const bool after =
        cut.acknowledged + 1 < contents.size() && found == contents[cut.acknowledged + 1];
    EXPECT_TRUE(before || after);
    EXPECT_GT(registry.value()->NextGeneration().value(), cut.starts);
  }
}

// Fails change after change of every step until none fails.
void FailEverywhere(int code, int error, bool once, Code expected) {
  std::size_t failures = 0;
  for (std::uint64_t nth = 0;; ++nth) {
    SCOPED_TRACE("change " + std::to_string(nth));
    FakeDisk disk;
    const std::unique_ptr<Registry> registry = OpenSqliteRegistry(Path()).value();
    bool any = false;
    for (const Step& step : Workload()) {
      const Content before = Read(*registry);
      disk.FailAfter(nth, code, error, once);
      const Status status = step(*registry);
      const bool failed = disk.failed();
      disk.Mend();
      EXPECT_EQ(failed, !status.ok());
      if (!status.ok()) {
        any = true;
        ++failures;
        // SQLite tells the errno of the first change of a step only.
        const bool right = status.error().code() == expected ||
                           (nth > 0 && status.error().code() == Code::kUnavailable);
        EXPECT_TRUE(right) << status.error().message();
        EXPECT_NE(status.error().message().find(Path()), std::string::npos);
        EXPECT_EQ(Read(*registry), before);
        const Status again = step(*registry);
        EXPECT_TRUE(again.ok()) << again.error().message();
      }
    }
    if (!any) break;
  }
  EXPECT_GT(failures, 50u);
}

TEST(RegistryPowerCut, AFullDiskLeavesNothingHalfDone) {
  FailEverywhere(SQLITE_FULL, ENOSPC, false, Code::kUnavailable);
}

TEST(RegistryPowerCut, AReadOnlyDiskLeavesNothingHalfDone) {
  FailEverywhere(SQLITE_IOERR_WRITE, EROFS, false, Code::kDenied);
}

TEST(RegistryPowerCut, AFailingDiskLeavesNothingHalfDone) {
  FailEverywhere(SQLITE_IOERR_WRITE, EIO, false, Code::kUnavailable);
}

TEST(RegistryPowerCut, ADiskThatFailsOnceLeavesNothingHalfDone) {
  FailEverywhere(SQLITE_FULL, ENOSPC, true, Code::kUnavailable);
  FailEverywhere(SQLITE_IOERR_WRITE, EIO, true, Code::kUnavailable);
}

}  // namespace
}  // namespace forebay
