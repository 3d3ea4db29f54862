// How `ls` and `stat` show what they found.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "upstream/upstream.h"

namespace forebay {

struct ListedEntry {
  std::string name;
  Attributes attributes;
};

inline constexpr std::string_view kListingFormats[] = {"json", "yaml", "wide", "table", "name"};

// `format` is one of the above. A name is shown as it is by "name", with control characters escaped
// by "table" and "wide". In JSON and YAML: a list of {name, type, size, mtime, version}; mtime (RFC
// 3339) and version are null where there is none; bytes that are not UTF-8 become U+FFFD. Pure.
std::string FormatListing(const std::vector<ListedEntry>& entries, std::string_view format);

}  // namespace forebay
