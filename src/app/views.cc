#include "app/views.h"

#include <fmt/format.h>

#include <set>

#include "app/output.h"
#include "app/table.h"
#include "base/units.h"
#include "spec/document.h"

namespace forebay {
namespace {

// Of a foreign text: one line, and never an empty cell, so that columns can be split by blanks.
std::string Cell(std::string_view text) {
  return text.empty() ? "-" : OneLine(text);
}

std::string CountText(std::optional<std::uint64_t> count) {
  return count ? fmt::format("{}", *count) : "-";
}

std::string MountText(const MountView& mount) {
  return mount.path == "/" || mount.path.empty() ? mount.url : mount.path + '=' + mount.url;
}

std::string MountsText(const DatasetView& dataset) {
  std::string text;
  for (const MountView& mount : dataset.mounts) {
    text += (text.empty() ? "" : ",") + MountText(mount);
  }
  return text;
}

std::string GroupTable(const std::vector<GroupRow>& groups, bool wide) {
  std::vector<TableRow> rows = {{"GROUP", "READY", "USED", "CAPACITY"}};
  if (wide) rows[0].insert(rows[0].end(), {"EPOCH", "REASON"});
  for (const GroupRow& group : groups) {
    rows.push_back({Cell(group.name), fmt::format("{}/{}", group.ready, group.desired),
                    SizeText(group.used_bytes), SizeText(group.capacity_bytes)});
    // An epoch is a generation of control and a counter.
    constexpr unsigned kCounterBits = 32;
    if (wide) {
      rows.back().push_back(fmt::format("{}.{}", group.epoch >> kCounterBits,
                                        group.epoch & ((std::uint64_t{1} << kCounterBits) - 1)));
      rows.back().push_back(Cell(group.reason));
    }
  }
  return Table(rows);
}

std::string WorkerTable(const std::vector<WorkerView>& workers, const ViewOptions& options) {
  std::vector<TableRow> rows = {{"WORKER", "ROLE", "STATE", "USED", "CAPACITY", "BLOCKS", "AGE"}};
  if (options.wide) rows[0].insert(rows[0].end(), {"GROUP", "PID", "ADDRESS"});
  for (const WorkerView& worker : workers) {
    rows.push_back({Cell(worker.name), Cell(worker.role), Cell(worker.state),
                    SizeText(worker.used_bytes), SizeText(worker.capacity_bytes),
                    fmt::format("{}", worker.blocks), AgeText(worker.started_at, options.now_ns)});
    if (options.wide) {
      rows.back().push_back(Cell(worker.group));
      rows.back().push_back(fmt::format("{}", worker.pid));
      rows.back().push_back(Cell(worker.address));
    }
  }
  return Table(rows);
}

std::string ConditionText(const ConditionView& condition, std::int64_t now_ns) {
  std::string text = fmt::format("{}={}", condition.type, condition.status);
  if (!condition.reason.empty()) text += ' ' + condition.reason;
  if (!condition.message.empty()) text += ": " + condition.message;
  return OneLine(text) + fmt::format(" (since {})", AgeText(condition.since, now_ns));
}

}  // namespace

std::string DatasetTable(const std::vector<DatasetView>& datasets, const ViewOptions& options) {
  std::vector<TableRow> rows = {{}};
  if (options.namespaces) rows[0].push_back("NAMESPACE");
  rows[0].insert(rows[0].end(), {"DATASET", "PHASE", "FILES", "SIZE", "CACHED", "CACHED%", "HIT%"});
  if (options.wide) {
    rows[0].insert(rows[0].end(), {"STALENESS", "REQUESTS", "READ", "ERRORS", "GROUP", "MOUNTS"});
  }
  for (const DatasetView& dataset : datasets) {
    TableRow row;
    if (options.namespaces) row.push_back(Cell(dataset.name_space));
    row.insert(row.end(), {Cell(dataset.name), Cell(dataset.phase), CountText(dataset.files),
                           SizeText(dataset.total_bytes), SizeText(dataset.cached_bytes),
                           PercentText(dataset.cached_ratio), PercentText(dataset.hit_ratio)});
    if (options.wide) {
      row.insert(row.end(),
                 {Cell(dataset.staleness), fmt::format("{}", dataset.upstream_requests),
                  FormatSize(dataset.upstream_bytes), fmt::format("{}", dataset.upstream_errors),
                  Cell(dataset.group), Cell(MountsText(dataset))});
    }
    rows.push_back(std::move(row));
  }
  return Table(rows);
}

std::string DatasetNames(const std::vector<DatasetView>& datasets) {
  std::string text;
  for (const DatasetView& dataset : datasets) text += DatasetObject(dataset.name) + '\n';
  return text;
}

std::string DatasetSheet(const DatasetView& dataset, std::int64_t now_ns) {
  std::vector<std::pair<std::string, std::string>> lines = {
      {"Name", Cell(dataset.name)},
      {"Namespace", Cell(dataset.name_space)},
      {"Group", Cell(dataset.group)},
      {"Phase", Cell(dataset.phase)},
      {"Files", CountText(dataset.files)},
      {"Size", SizeText(dataset.total_bytes)},
      {"Cached",
       fmt::format("{} ({})", SizeText(dataset.cached_bytes), PercentText(dataset.cached_ratio))},
      {"Hits", fmt::format("{} of the last minute's reads", PercentText(dataset.hit_ratio))},
      {"Staleness", Cell(dataset.staleness)},
      {"Store", fmt::format("{} requests, {}, {} errors", dataset.upstream_requests,
                            FormatSize(dataset.upstream_bytes), dataset.upstream_errors)}};
  bool first = true;
  for (const MountView& mount : dataset.mounts) {
    lines.emplace_back(std::exchange(first, false) ? "Mounts" : "",
                       fmt::format("{} from {}", Cell(mount.path), Cell(mount.url)));
  }
  first = true;
  for (const ConditionView& condition : dataset.conditions) {
    lines.emplace_back(std::exchange(first, false) ? "Conditions" : "",
                       ConditionText(condition, now_ns));
  }
  return Sheet(lines);
}

std::string LoadTable(const std::vector<LoadView>& loads, const ViewOptions& options) {
  std::vector<TableRow> rows = {
      {"LOAD", "DATASET", "PHASE", "DONE", "SIZE", "FILES", "MISSING", "AGE"}};
  if (options.wide) rows[0].insert(rows[0].end(), {"NAMESPACE", "RATE", "LEFT", "REASON"});
  for (const LoadView& load : loads) {
    rows.push_back({Cell(load.id), Cell(load.dataset), Cell(load.phase), SizeText(load.done_bytes),
                    SizeText(load.total_bytes),
                    fmt::format("{}/{}", CountText(load.done_files), CountText(load.total_files)),
                    fmt::format("{}", load.missing), AgeText(load.started_at, options.now_ns)});
    if (options.wide) {
      const bool timed = load.eta_seconds && !load.ended();
      rows.back().push_back(Cell(load.name_space));
      rows.back().push_back(load.bytes_per_second ? FormatSize(*load.bytes_per_second) + "/s"
                                                  : "-");
      rows.back().push_back(timed ? AgeText(static_cast<std::int64_t>(*load.eta_seconds))
                                  : std::string("-"));
      rows.back().push_back(Cell(load.reason));
    }
  }
  return Table(rows);
}

std::string LoadNames(const std::vector<LoadView>& loads) {
  std::string text;
  for (const LoadView& load : loads) text += fmt::format("load/{}\n", load.id);
  return text;
}

bool SeveralNamespaces(const std::vector<DatasetView>& datasets) {
  std::set<std::string_view> names;
  for (const DatasetView& dataset : datasets) names.insert(dataset.name_space);
  return names.size() > 1;
}

std::string StatusText(const StatusView& status, ViewOptions options) {
  options.namespaces = options.wide || SeveralNamespaces(status.datasets);
  std::vector<std::string> tables;
  if (!status.groups.empty()) tables.push_back(GroupTable(status.groups, options.wide));
  if (!status.workers.empty()) tables.push_back(WorkerTable(status.workers, options));
  if (!status.datasets.empty()) tables.push_back(DatasetTable(status.datasets, options));
  if (!status.loads.empty()) tables.push_back(LoadTable(status.loads, options));
  return fmt::format("{}", fmt::join(tables, "\n"));
}

std::string StatusNames(const StatusView& status) {
  std::string text;
  for (const GroupRow& group : status.groups) text += fmt::format("group/{}\n", group.name);
  for (const WorkerView& worker : status.workers) text += fmt::format("worker/{}\n", worker.name);
  return text + DatasetNames(status.datasets) + LoadNames(status.loads);
}

std::string EventTable(const std::vector<EventView>& events, const ViewOptions& options) {
  std::vector<TableRow> rows = {{"LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"}};
  if (options.wide) rows[0].insert(rows[0].begin() + 1, {"COUNT", "NAMESPACE"});
  for (const EventView& event : events) {
    TableRow row = {AgeText(event.time, options.now_ns)};
    if (options.wide) {
      row.push_back(fmt::format("{}", event.count));
      row.push_back(Cell(event.name_space));
    }
    row.insert(row.end(),
               {Cell(event.type), Cell(event.reason), Cell(event.object), Cell(event.message)});
    rows.push_back(std::move(row));
  }
  return Table(rows);
}

}  // namespace forebay
