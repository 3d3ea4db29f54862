#include "client/group_directory.h"

#include <sys/stat.h>

#include <fstream>
#include <iterator>
#include <utility>

#include "cluster/problem_detail.h"
#include "io/http_call.h"

namespace forebay {
namespace {

constexpr int kOk = 200;
constexpr int kRefused = 400;
constexpr int kNotThere = 404;
// A stopped control must leave time for the file, and a dead one costs nothing.
constexpr std::chrono::milliseconds kControlPatience{2'000};

class ControlDirectory : public GroupDirectory {
 public:
  ControlDirectory(GroupAddress address, HttpEndpoint endpoint,
                   std::shared_ptr<SnapshotSource> snapshots)
      : address_(std::move(address)),
        endpoint_(std::move(endpoint)),
        snapshots_(std::move(snapshots)),
        http_(HttpClientOptions{}) {}

  Result<GroupAnswer> Ask(const DatasetRef& dataset, Deadline deadline,
                          std::stop_token stop) override {
    Result<GroupAnswer> answer = AskControl(dataset, deadline, stop);
    // Control has the last word.
    if (answer.ok() || answer.error().code() == Code::kNotFound ||
        answer.error().code() == Code::kInvalidArgument) {
      return answer;
    }
    if (stop.stop_requested() || address_.group_file.empty()) return answer;
    Result<GroupAnswer> copy = ReadCopy(dataset);
    if (copy.ok()) return copy;
    return Error(Code::kUnavailable, answer.error().message() + "; " + copy.error().message() +
                                         "; `forebay up` starts a group");
  }
  std::shared_ptr<SnapshotSource> snapshots() const override { return snapshots_; }

 private:
  Result<GroupAnswer> AskControl(const DatasetRef& dataset, Deadline deadline,
                                 std::stop_token stop) {
    if (address_.control.empty()) return Error(Code::kUnavailable, "no control was named");
    const HttpCall call{.target = "/internal/v1/group?dataset=" + PercentEncode(dataset.name) +
                                  "&namespace=" + PercentEncode(dataset.name_space)};
    const Clock::time_point now = Clock::now();
    const Deadline until = std::min<Deadline>(now + kControlPatience, now + (deadline - now) / 2);
    Result<HttpAnswer> answer = Call(http_, endpoint_, call, until, std::move(stop));
    const std::string where = "control at " + address_.control;
    if (!answer.ok()) {
      return Error(Code::kUnavailable, "control: " + answer.error().message());
    }
    if (answer.value().status() == kNotThere) return Error(Code::kNotFound, where);
    if (answer.value().status() == kRefused) {
      return Error(Code::kInvalidArgument, ProblemDetail(answer.value()));
    }
    if (answer.value().status() != kOk) {
      return Error(Code::kUnavailable,
                   where + ": status " + std::to_string(answer.value().status()));
    }
    Result<GroupAnswer> group = GroupAnswerFromJson(answer.value().body);
    if (!group.ok()) return std::move(group).error().Within(where);
    return group;
  }

  // The file is replaced whole, so what is read is of one moment.
  Result<GroupAnswer> ReadCopy(const DatasetRef& dataset) const {
    std::ifstream file(address_.group_file, std::ios::binary);
    if (!file) return Error(Code::kUnavailable, address_.group_file + ": cannot be read");
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    Result<GroupFile> group = GroupFileFromJson(text);
    if (!group.ok()) return std::move(group).error().Within(address_.group_file);
    for (DatasetEntry& entry : group.value().datasets) {
      if (entry.name != dataset.name || entry.name_space != dataset.name_space) continue;
      return GroupAnswer{.map = std::move(group.value().map), .dataset = std::move(entry)};
    }
    // It may be newer than the copy.
    return GroupAnswer{.map = std::move(group.value().map), .dataset = std::nullopt};
  }

  const GroupAddress address_;
  const HttpEndpoint endpoint_;
  const std::shared_ptr<SnapshotSource> snapshots_;
  HttpClient http_;
};

}  // namespace

Result<std::unique_ptr<GroupDirectory>> MakeControlDirectory(const GroupAddress& address) {
  HttpEndpoint endpoint;
  if (!address.control.empty()) {
    Result<HttpEndpoint> parsed = ParseHttpEndpoint(address.control);
    if (!parsed.ok()) return std::move(parsed).error();
    endpoint = std::move(parsed).value();
  }
  Result<std::shared_ptr<SnapshotSource>> snapshots =
      SnapshotSource::Create({address.control, address.snapshots});
  if (!snapshots.ok()) return std::move(snapshots).error();
  return std::unique_ptr<GroupDirectory>(std::make_unique<ControlDirectory>(
      address, std::move(endpoint), std::move(snapshots).value()));
}

}  // namespace forebay
