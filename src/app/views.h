// How `status`, `datasets`, `loads` and `events` show what control answered. All pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "app/answers.h"

namespace forebay {

inline constexpr std::string_view kViewFormats[] = {"table", "wide", "json", "yaml", "name"};

struct ViewOptions {
  bool wide = false;
  bool namespaces = false;  // Show a column of them.
  std::int64_t now_ns = 0;  // For ages.
};

// A table each for groups, workers, datasets and loads, with an empty line between; those without
// rows are left out.
std::string StatusText(const StatusView& status, ViewOptions options);
// "dataset.data.fluid.io/prices", "worker/default-0", ...: a line each.
std::string StatusNames(const StatusView& status);

// With the head even if there are no rows.
std::string DatasetTable(const std::vector<DatasetView>& datasets, const ViewOptions& options);
std::string DatasetNames(const std::vector<DatasetView>& datasets);
// All of one dataset, a line a field.
std::string DatasetSheet(const DatasetView& dataset, std::int64_t now_ns);

std::string LoadTable(const std::vector<LoadView>& loads, const ViewOptions& options);
std::string LoadNames(const std::vector<LoadView>& loads);

std::string EventTable(const std::vector<EventView>& events, const ViewOptions& options);

// Whether they are in more than one namespace.
bool SeveralNamespaces(const std::vector<DatasetView>& datasets);

}  // namespace forebay
