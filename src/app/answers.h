// What control answers, as far as tables show it. Behind this header, and only there, JSON is read
// from and written for control.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"

namespace forebay {

// A field that is absent or of another type is empty: a newer or older control is not an error.
struct GroupRow {
  std::string name, reason;
  std::uint64_t desired = 0, ready = 0, epoch = 0;
  std::optional<std::uint64_t> capacity_bytes, used_bytes;
};

struct WorkerView {
  std::string name, group, role, state, address, started_at;
  std::uint64_t pid = 0, blocks = 0;
  std::optional<std::uint64_t> capacity_bytes, used_bytes;
};

struct ConditionView {
  std::string type, status, reason, message, since;
};

struct MountView {
  std::string path, url;
};

struct DatasetView {
  std::string name, name_space, group, phase, staleness;
  std::optional<std::uint64_t> files, total_bytes, cached_bytes;
  std::optional<double> cached_ratio, hit_ratio;
  std::vector<MountView> mounts;
  std::uint64_t upstream_requests = 0, upstream_bytes = 0, upstream_errors = 0;
  std::vector<ConditionView> conditions;
};

struct MissingFileView {
  std::string path, reason;
};

struct LoadView {
  std::string id, dataset, name_space, phase, started_at, finished_at, reason;
  std::optional<std::uint64_t> done_bytes, total_bytes, done_files, total_files;
  std::optional<std::uint64_t> bytes_per_second, eta_seconds;
  std::uint64_t missing = 0;
  std::vector<MissingFileView> missing_files;

  bool ended() const { return phase == "Complete" || phase == "Failed" || phase == "Cancelled"; }
};

struct StatusView {
  std::string version;
  std::vector<GroupRow> groups;
  std::vector<WorkerView> workers;
  std::vector<DatasetView> datasets;
  std::vector<LoadView> loads;
};

struct EventView {
  std::uint64_t seq = 0, count = 1;
  std::string time, type, reason, object, name_space, message;
};

struct EventsView {
  std::vector<EventView> events;
  std::uint64_t next = 0;
};

struct WaitView {
  bool reached = false;
  std::optional<double> cached_ratio;
  std::uint64_t ready = 0;
  std::string reason;
};

struct ChangeView {
  std::string object, name_space, result, message;
};

struct WarningView {
  std::string document, path, value, message;
};

struct ChangesView {
  std::vector<ChangeView> results;
  std::vector<WarningView> warnings;
};

struct EvictedView {
  std::uint64_t bytes = 0, files = 0;
  std::vector<std::string> silent_workers;  // They may hold some still.
};

// Errors of all: kUnavailable: not the JSON that was asked for.
Result<StatusView> StatusOf(std::string_view answer);
Result<DatasetView> DatasetOf(std::string_view answer);
Result<std::vector<DatasetView>> DatasetsOf(std::string_view answer);
Result<LoadView> LoadOf(std::string_view answer);
Result<std::vector<LoadView>> LoadsOf(std::string_view answer);
Result<EventsView> EventsOf(std::string_view answer);
Result<WaitView> WaitOf(std::string_view answer);
Result<ChangesView> ChangesOf(std::string_view answer);
Result<EvictedView> EvictedOf(std::string_view answer);
// `result` of an answer to a change of one object.
Result<std::string> ResultOf(std::string_view answer);

// JSON to JSON or YAML for people; with `key` that member alone. One document, a newline at its
// end. `format`: "json", "yaml", or "line" for JSON in one line.
Result<std::string> Rendered(std::string_view answer, std::string_view format,
                             std::string_view key = {});

// The entries of the list `key` as a stream: a line each, or YAML documents.
Result<std::string> RenderedEach(std::string_view answer, std::string_view format,
                                 std::string_view key);

// A JSON object of strings, lists of strings and numbers, for requests.
class RequestBody {
 public:
  RequestBody();
  ~RequestBody();
  RequestBody(const RequestBody&) = delete;
  RequestBody& operator=(const RequestBody&) = delete;

  void Set(const std::string& key, const std::string& value);
  void Set(const std::string& key, std::uint64_t value);
  void Set(const std::string& key, bool value);
  void Set(const std::string& key, const char* value) = delete;  // Would be taken for a bool.
  void Set(const std::string& key, const std::vector<std::string>& value);
  // Appends {"path","url","options","secrets"} to the list `mounts`.
  void AddMount(const MountView& mount, const std::map<std::string, std::string>& options,
                const std::map<std::string, Secret>& secrets);
  std::string Text() const;

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

}  // namespace forebay
