// Bodies and queries of requests to the API: JSON to structs. What a request says wrong is named by
// its field, with what would do.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "control/dataset_table.h"
#include "control/loads.h"
#include "spec/document.h"

namespace forebay {

// Errors of all: kInvalidArgument.

struct DatasetRequest {
  DatasetSpec spec;
  std::optional<MountSecrets> secrets;  // Nothing: those that are known stay.
};
Result<DatasetRequest> ParseDatasetRequest(const std::string& body);

struct WaitRequest {
  std::optional<double> cached;
  std::string path = "/";
  std::uint32_t workers = 0;
  std::chrono::milliseconds timeout{60'000};
};
Result<WaitRequest> ParseWaitRequest(const std::map<std::string, std::string>& query);

// {"path": "/a"} or {"paths": ["/a", …]}; an empty body, "/" and an empty list mean everything.
Result<std::vector<std::string>> ParsePaths(const std::string& body);

Result<LoadTarget> ParseLoadRequest(const std::string& body);

struct ApplyRequest {
  std::string documents;
  std::string source;
  bool dry_run = false;
};
Result<ApplyRequest> ParseApplyRequest(const std::string& body);

Result<std::uint64_t> ParseCount(const std::string& field, const std::string& text);

}  // namespace forebay
