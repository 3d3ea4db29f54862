// Any bytes: a URL is refused, or its parts are a URL of the same thing, and a dataset's name comes
// back as it was written.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "client/dataset_url.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (const auto split = forebay::Split(text); split.ok()) {
    const auto again = forebay::Split(split.value().Text());
    CHECK(again.ok());
    CHECK(again.value().Text() == split.value().Text());
  }
  if (const auto parsed = forebay::ParseDatasetUrl(text); parsed.ok()) {
    CHECK(text.ends_with(parsed.value().path));
  }
  if (const auto name = forebay::ParseDatasetRef(text); name.ok()) {
    CHECK(forebay::ParseDatasetRef(name.value().Text()).value() == name.value());
  }
  return 0;
}
