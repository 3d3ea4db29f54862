// The small texts around a store: dates, ~/.aws files, listed keys, page borders, URLs.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "upstream/http_date.h"
#include "upstream/ini.h"
#include "upstream/percent.h"
#include "upstream/s3_fold.h"
#include "upstream/upstream.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  static_cast<void>(forebay::ParseHttpDate(text));
  static_cast<void>(forebay::ParseIsoTime(text));
  static_cast<void>(forebay::ParseIni(text));
  static_cast<void>(forebay::DecodeListedKey(text));
  const std::string encoded = forebay::PercentEncode(text, forebay::Slash::kEncode);
  CHECK(forebay::DecodeListedKey(encoded) == text);
  if (const auto border = forebay::DecodeBorder(text); border.ok()) {
    const auto again = forebay::DecodeBorder(forebay::EncodeBorder(border.value()));
    CHECK(again.ok() && again.value().last == border.value().last);
    CHECK(again.value().token == border.value().token);
  }
  if (const auto location = forebay::ParseLocation(text); location.ok()) {
    const auto again = forebay::ParseLocation(forebay::UrlOf(location.value()));
    CHECK(again.ok() && again.value().path == location.value().path);
    CHECK(again.value().bucket == location.value().bucket);
  }
  return 0;
}
