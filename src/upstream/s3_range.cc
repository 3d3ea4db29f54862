#include "upstream/s3_range.h"

#include <fmt/format.h>

#include <charconv>

#include "upstream/s3_version.h"

namespace forebay {
namespace {

constexpr int kOk = 200;
constexpr int kPartialContent = 206;

std::optional<std::uint64_t> TakeNumber(std::string_view& text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

bool Take(std::string_view& text, std::string_view expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

struct ContentRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint64_t total = 0;
};

// "bytes 0-99/1000"
std::optional<ContentRange> ParseContentRange(std::string_view text) {
  if (!Take(text, "bytes ")) return std::nullopt;
  const std::optional<std::uint64_t> first = TakeNumber(text);
  if (!first || !Take(text, "-")) return std::nullopt;
  const std::optional<std::uint64_t> last = TakeNumber(text);
  if (!last || !Take(text, "/")) return std::nullopt;
  const std::optional<std::uint64_t> total = TakeNumber(text);
  if (!total || !text.empty()) return std::nullopt;
  return ContentRange{*first, *last, *total};
}

}  // namespace

std::optional<S3Failure> CheckRangeAnswer(const HttpHead& head, const ReadRange& range,
                                          std::uint64_t offset, std::uint64_t length) {
  // The version first: bytes of another one may well have another length.
  if (AttributesOf(head, range.file_size).version != range.version) {
    return S3Failure{.error = Error(Code::kChanged, "the store now has another version")};
  }
  if (head.status == kPartialContent) {
    const std::string* text = head.Find("content-range");
    if (text == nullptr) return Retryable("a partial answer without Content-Range");
    const std::optional<ContentRange> got = ParseContentRange(*text);
    if (!got) return Retryable("a partial answer with a broken Content-Range");
    if (got->total != range.file_size) {
      return S3Failure{.error = Error(Code::kChanged, "the object now has another size")};
    }
    if (got->first != offset || got->last != offset + length - 1) {
      return Retryable(fmt::format("asked for bytes {}-{}, was sent {}-{}", offset,
                                   offset + length - 1, got->first, got->last));
    }
  } else if (head.status != kOk || offset != 0 || length != range.file_size) {
    return Retryable("the store ignored the range");
  }
  const std::string* text = head.Find("content-length");
  if (text == nullptr) {
    if (head.status == kOk) return Retryable("a whole object without Content-Length");
    return std::nullopt;
  }
  std::string_view rest = *text;
  const std::optional<std::uint64_t> promised = TakeNumber(rest);
  if (!promised || !rest.empty() || *promised != length) {
    return Retryable(fmt::format("{} bytes were asked for, {} promised", length, *text));
  }
  return std::nullopt;
}

}  // namespace forebay
