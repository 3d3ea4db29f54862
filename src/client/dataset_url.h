// The URLs that clients take: of stores, and of datasets: forebay://NAME[.NAMESPACE]/PATH.
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "base/result.h"

namespace forebay {

struct DatasetRef {
  std::string name;
  std::string name_space = "default";

  auto operator<=>(const DatasetRef&) const = default;
  // "NAME.NAMESPACE": also of the default one, so that no two are the same.
  std::string Text() const { return name + '.' + name_space; }
};

// What a URL names in a dataset. The path is taken literally; "" is the root.
struct DatasetPath {
  DatasetRef dataset;
  std::string path;
};

bool IsDatasetUrl(std::string_view url);

// "NAME" or "NAME.NAMESPACE": both are DNS labels, so the first dot separates them.
// Errors: kInvalidArgument, with the value and what would do.
Result<DatasetRef> ParseDatasetRef(std::string_view text);
Result<DatasetPath> ParseDatasetUrl(std::string_view url);

// A URL of either kind in two parts, which together are a URL of the same thing.
struct SplitUrl {
  std::string root;  // "s3://BUCKET/", "file:///", "forebay://NAME/".
  std::string path;  // "" is the root; below it names are appended as they are.
  std::string name;  // Of the bucket or the dataset; empty for files.

  std::string Text() const { return root + path; }
  bool is_directory() const { return path.empty() || path.back() == '/'; }
};

// Errors: kInvalidArgument, those of ParseLocation and ParseDatasetUrl.
Result<SplitUrl> Split(const std::string& url);

}  // namespace forebay
