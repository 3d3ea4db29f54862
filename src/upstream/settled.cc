#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "upstream/upstream.h"

namespace forebay {
namespace {

constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;
// Servers keep times no coarser than this (NFS, Last-Modified: 1 s), and clocks differ a little.
constexpr std::int64_t kYoungNanoseconds = 2 * kNanosecondsPerSecond;

// The number in front of the first ':' of `text`, which is then dropped, or the whole rest.
std::optional<std::int64_t> NextNumber(std::string_view& text) {
  const std::string_view digits = text.substr(0, text.find(':'));
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), number);
  if (error != std::errc() || end != digits.end()) return std::nullopt;
  text.remove_prefix(std::min(text.size(), digits.size() + 1));
  return number;
}

}  // namespace

std::int64_t SettledAtNanoseconds(const Attributes& attributes) {
  std::string_view tag = attributes.version;
  if (tag.starts_with("p:")) {  // size : mtime_ns : ctime_ns
    tag.remove_prefix(2);
    const std::optional<std::int64_t> size = NextNumber(tag);
    const std::optional<std::int64_t> mtime_ns = NextNumber(tag);
    const std::optional<std::int64_t> ctime_ns = NextNumber(tag);
    if (size && mtime_ns && ctime_ns) {
      return std::max(*mtime_ns, *ctime_ns) + kYoungNanoseconds;
    }
  }
  if (tag.starts_with("m:")) {  // seconds : size
    tag.remove_prefix(2);
    const std::optional<std::int64_t> seconds = NextNumber(tag);
    if (seconds) return *seconds * kNanosecondsPerSecond + kYoungNanoseconds;
  }
  return 0;
}

}  // namespace forebay
