#include "upstream/s3_version.h"

#include <fmt/format.h>

#include "upstream/http_date.h"

namespace forebay {
namespace {

constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;

std::optional<std::int64_t> TimeIn(const HttpHead& head, std::string_view name) {
  const std::string* value = head.Find(name);
  return value == nullptr ? std::nullopt : ParseHttpDate(*value);
}

}  // namespace

std::string VersionOf(std::string_view etag, std::optional<std::int64_t> modified_seconds,
                      std::uint64_t size) {
  if (etag.size() > 2 && etag.front() == '"' && etag.back() == '"') return std::string(etag);
  // Some stores leave the quotes out in listings.
  if (!etag.empty() && etag.find('"') == std::string_view::npos) return fmt::format("\"{}\"", etag);
  if (!modified_seconds) return "";
  return fmt::format("m:{}:{}", *modified_seconds, size);
}

bool IsEtag(std::string_view version) {
  return version.starts_with('"');
}

Attributes AttributesOf(const HttpHead& head, std::uint64_t size) {
  const std::string* etag = head.Find("etag");
  const std::optional<std::int64_t> modified = TimeIn(head, "last-modified");
  return {.type = FileType::kFile,
          .size = size,
          .mtime_ns = modified.value_or(0) * kNanosecondsPerSecond,
          .version = VersionOf(etag == nullptr ? "" : *etag, modified, size)};
}

bool TellsVersionsApart(const HttpHead& head) {
  const std::string* etag = head.Find("etag");
  if (etag != nullptr && IsEtag(VersionOf(*etag, std::nullopt, 0))) return true;
  const std::optional<std::int64_t> modified = TimeIn(head, "last-modified");
  const std::optional<std::int64_t> now = TimeIn(head, "date");
  constexpr std::int64_t kYoungSeconds = 2;
  return modified && now && *now - *modified >= kYoungSeconds;
}

}  // namespace forebay
