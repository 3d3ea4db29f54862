// ParseSize, ParseDuration and ParseRatio take any text, and stay in their ranges.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/units.h"

using forebay::FormatDuration;
using forebay::ParseDuration;
using forebay::ParseRatio;
using forebay::ParseSize;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto bytes = ParseSize(text); bytes.ok()) CHECK(bytes.value() <= 1ull << 63);
  if (const auto ratio = ParseRatio(text); ratio.ok()) {
    CHECK(ratio.value() >= 0 && ratio.value() <= 1);
  }
  if (const auto duration = ParseDuration(text); duration.ok()) {
    CHECK(ParseDuration(FormatDuration(duration.value())).value() == duration.value());
  }
  return 0;
}
