// Any bytes: a request to control, and a stored load, are understood or refused.
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "base/check.h"
#include "control/load_json.h"
#include "control/request_json.h"

namespace {

template <typename T>
void Refused(const forebay::Result<T>& result) {
  if (!result.ok()) CHECK(result.error().code() == forebay::Code::kInvalidArgument);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  Refused(forebay::ParseDatasetRequest(text));
  Refused(forebay::ParsePaths(text));
  Refused(forebay::ParseLoadRequest(text));
  Refused(forebay::ParseApplyRequest(text));
  Refused(forebay::ParseCount("count", text));
  Refused(forebay::ParseWaitRequest(
      {{"cached", text}, {"path", text}, {"workers", text}, {"timeout", text}}));
  const forebay::Result<forebay::LoadRecord> load = forebay::DecodeLoad(text);
  if (load.ok()) {
    const std::string again = forebay::EncodeLoad(load.value());
    CHECK(forebay::EncodeLoad(forebay::DecodeLoad(again).value()) == again);
  } else {
    CHECK(load.error().code() == forebay::Code::kCorrupt);
  }
  // What a load is asked for is matched with names that others chose.
  if (const std::size_t middle = text.find('\n'); middle != std::string::npos && size < 64) {
    static_cast<void>(forebay::PatternMatches(text.substr(0, middle), text.substr(middle + 1)));
  }
  return 0;
}
