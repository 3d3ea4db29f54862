#include "upstream/s3_fold.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "upstream/s3_version.h"

namespace forebay {
namespace {

constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;

bool FitsATree(std::string_view name) {
  constexpr std::string_view kNever("/\0", 2);
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(kNever) == std::string_view::npos;
}

Attributes AttributesOf(const S3Object& object) {
  return {.type = FileType::kFile,
          .size = object.size,
          .mtime_ns = object.modified_seconds.value_or(0) * kNanosecondsPerSecond,
          .version = VersionOf(object.etag, object.modified_seconds, object.size)};
}

}  // namespace

std::string EncodeBorder(const PageBorder& border) {
  return fmt::format("{}:{}{}", border.last.size(), border.last, border.token);
}

Result<PageBorder> DecodeBorder(const std::string& text) {
  if (text.empty()) return PageBorder{};
  std::size_t length = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  const auto start = static_cast<std::size_t>(end - text.data()) + 1;
  if (error != std::errc{} || start > text.size() || *end != ':' || length > text.size() - start) {
    return Error(Code::kInvalidArgument, "a listing cannot go on there: not the end of a page");
  }
  return PageBorder{.last = text.substr(start, length), .token = text.substr(start + length)};
}

bool WasPending(std::string_view name, std::string_view last) {
  if (!last.starts_with(name)) return false;
  return name.size() == last.size() || static_cast<unsigned char>(last[name.size()]) < '/';
}

std::vector<std::string> PendingDirectories(std::string_view last, std::string_view previous) {
  std::vector<std::string> pending;
  for (std::size_t length = 1; length <= last.size(); ++length) {
    const std::string_view name = last.substr(0, length);
    if (name.ends_with('/')) break;  // The directory at the border itself.
    if (WasPending(name, last) && !WasPending(name, previous) && FitsATree(name)) {
      pending.emplace_back(name);
    }
  }
  return pending;
}

std::string LastKey(const S3Listing& listing, const std::string& directory) {
  std::string last;
  for (const S3Object& object : listing.objects) last = std::max(last, object.key);
  for (const std::string& prefix : listing.common_prefixes) last = std::max(last, prefix);
  return last.starts_with(directory) ? last.substr(directory.size()) : "";
}

Result<ListPage> FoldPage(const S3Listing& listing, const std::string& directory,
                          const PageBorder& previous, const std::vector<std::string>& found) {
  const Error outside(Code::kUnavailable, "the store listed a key outside of what was asked for");
  ListPage page;
  std::map<std::string, Attributes> names;
  for (const S3Object& object : listing.objects) {
    if (!object.key.starts_with(directory)) return outside;
    const std::string name = object.key.substr(directory.size());
    const bool is_marker = name.empty() && object.size == 0;
    if (is_marker) continue;
    if (!FitsATree(name)) {
      ++page.left_out;
    } else {
      names.insert_or_assign(name, AttributesOf(object));
    }
  }
  const Attributes a_directory{.type = FileType::kDirectory, .version = ""};
  for (const std::string& prefix : listing.common_prefixes) {
    if (!prefix.starts_with(directory) || !prefix.ends_with('/') || prefix == directory) {
      return outside;
    }
    const std::string name = prefix.substr(directory.size(), prefix.size() - directory.size() - 1);
    if (!FitsATree(name)) {
      ++page.left_out;
    } else if (!WasPending(name, previous.last)) {
      names.insert_or_assign(name, a_directory);
    }
  }
  for (const std::string& name : found) names.insert_or_assign(name, a_directory);
  for (auto& [name, attributes] : names) page.entries.push_back({name, std::move(attributes)});
  return page;
}

}  // namespace forebay
