// Any bytes: a document of the group is what encodes to what decodes the same, or an error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "cluster/control_link.h"
#include "cluster/group_json.h"

namespace {

// What decodes must encode to something that decodes to the same.
template <typename T, typename Encode>
void RoundTrip(std::string_view text, forebay::Result<T> (*decode)(std::string_view),
               Encode encode) {
  const forebay::Result<T> decoded = decode(text);
  if (!decoded.ok()) {
    CHECK(decoded.error().code() == forebay::Code::kInvalidArgument);
    return;
  }
  const std::string again = encode(decoded.value());
  const forebay::Result<T> second = decode(again);
  CHECK(second.ok());
  CHECK(encode(second.value()) == again);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using forebay::WithSecrets;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto plain = [](const auto& value) { return forebay::ToJson(value); };
  const auto whole = [](const auto& value) { return forebay::ToJson(value, WithSecrets::kYes); };
  RoundTrip(text, forebay::MapFromJson, plain);
  RoundTrip(text, forebay::DatasetFromJson, whole);
  RoundTrip(text, forebay::HeartbeatFromJson, plain);
  RoundTrip(text, forebay::HeartbeatAnswerFromJson, whole);
  RoundTrip(text, forebay::GroupAnswerFromJson, whole);
  RoundTrip(text, forebay::GroupFileFromJson, plain);
  if (const auto uid = forebay::ParseDatasetUid(text)) {
    CHECK(forebay::ParseDatasetStore(forebay::DatasetStore(*uid)) == uid);
  }
  static_cast<void>(forebay::ParseDatasetStore(text));
  const auto control = forebay::ParseControlAddress(std::string(text));
  if (control.ok()) CHECK(!control.value().url.empty());
  return 0;
}
