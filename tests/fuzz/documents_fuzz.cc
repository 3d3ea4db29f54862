// Any bytes: ParseDocuments gives specs that are valid, can be explained and survive being stored,
// or an error; it never throws. With ParseYaml, ParseJson and ParseQuantity below it.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "spec/build.h"
#include "spec/explain.h"
#include "spec/node.h"
#include "spec/quantity.h"

namespace {

using forebay::DatasetSpec;
using forebay::RuntimeSpec;

void CheckStored(const DatasetSpec& spec) {
  const forebay::Result<DatasetSpec> back = forebay::DatasetFromJson(ToJson(spec));
  CHECK(back.ok() && back.value() == spec);
  CHECK(forebay::Validated(spec).value() == spec);
}

void CheckStored(const RuntimeSpec& spec) {
  const forebay::Result<RuntimeSpec> back = forebay::RuntimeFromJson(ToJson(spec));
  CHECK(back.ok() && back.value() == spec);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using forebay::Code;
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (const auto bytes = forebay::ParseQuantity(text); bytes.ok()) {
    CHECK(bytes.value() <= (1ull << 63) - 1);
  }
  if (const auto json = forebay::ParseJson(text); json.ok()) {
    CHECK(forebay::ParseJson(JsonOf(json.value())).ok());
  }
  if (const auto stored = forebay::DatasetFromJson(text); stored.ok()) CheckStored(stored.value());
  if (const auto stored = forebay::RuntimeFromJson(text); stored.ok()) CheckStored(stored.value());
  if (const auto yaml = forebay::ParseYaml(text); !yaml.ok()) {
    CHECK(!forebay::ParseDocuments(text, "f").ok());
  }
  const forebay::Result<forebay::ParsedDocuments> parsed = forebay::ParseDocuments(text, "f");
  if (!parsed.ok()) {
    CHECK(parsed.error().code() == Code::kInvalidArgument);
    return 0;
  }
  CHECK(!parsed.value().documents.empty());
  CHECK(Explain(parsed.value()).size() >= parsed.value().documents.size());
  for (const forebay::Document& document : parsed.value().documents) {
    std::visit([](const auto& spec) { CheckStored(spec); }, document.spec);
    const auto again = forebay::ParseDocuments(document.written, "f");
    CHECK(again.ok() && again.value().documents.at(0).written == document.written);
  }
  return 0;
}
