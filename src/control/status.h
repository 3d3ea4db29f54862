// Status: what `forebay status` shows: figures of everything, put together from what control knows.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "control/dataset_table.h"
#include "control/inventory.h"
#include "control/loads.h"
#include "control/members.h"

namespace forebay {

// What does not change while control runs.
struct GroupFacts {
  std::string name;
  std::string version;
  std::uint32_t block_bytes_max = 4u << 20;
};

struct StatusParts {
  const GroupFacts& facts;
  std::uint32_t desired = 0;  // Local workers.
  const Members& members;
  const DatasetTable& datasets;
  Inventory& inventory;
  const Loads& loads;
};

// Empty: all of them.
struct StatusFilter {
  std::string namespace_name;
  std::string dataset;
};

// The JSON of CONTRACT.md section 3, for the API's answers.
std::string StatusJson(const StatusParts& parts, const StatusFilter& filter);
// Its `workers` and `datasets` alone, as objects with that one key; and one dataset.
std::string WorkersJson(const StatusParts& parts);
std::string DatasetsJson(const StatusParts& parts, const StatusFilter& filter);
std::string DatasetJson(const StatusParts& parts, const DatasetRecord& dataset);

// forebay_dataset_cached_ratio of all datasets that were counted, as Prometheus text.
std::string CachedRatiosText(const StatusParts& parts);

}  // namespace forebay
