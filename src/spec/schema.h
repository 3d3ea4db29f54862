// The fields that documents may have, what they mean to us, and which of them do nothing here.
//
// Invariant: a field is known if and only if it is in these tables, so nothing that people write is
// taken without a meaning or left out without a word.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace forebay {

enum class FieldType : unsigned char {
  kText,
  kWhole,     // A whole number from 0 to 2^31 - 1.
  kSwitch,    // true or false.
  kRatio,     // From 0 to 1, as text or number.
  kQuantity,  // As ParseQuantity takes it.
  kMap,       // Its fields are in the table.
  kList,      // Its items are in the table, as "[]".
  kOptions,   // Names and scalars; no secrets in clear.
  kLabels,    // Names and scalars.
  kAny,       // Kubernetes' own; kept, not looked into.
};

enum class Effect : unsigned char {
  kUsed,         // Does what it says.
  kNothing,      // Nothing is lost by ignoring it here.
  kDiffers,      // Does something else, or nothing, where a reader would expect it to.
  kUnsupported,  // Cannot be honoured here.
};

struct Field {
  std::string_view path;  // Below the prefix of its table; "[]" for the items of a list.
  FieldType type = FieldType::kAny;
  Effect effect = Effect::kUsed;
  std::string_view meaning;
  std::string_view remedy = "";
};

// Fields at `prefix` ("spec.fuse."): the same table serves several places.
struct FieldGroup {
  std::string_view prefix;
  std::span<const Field> fields;
};

struct Kind {
  std::string_view name;
  std::vector<FieldGroup> groups;
};

// The kind of that name, or null if it is not accepted now.
const Kind* FindKind(std::string_view name);
// "Dataset, AlluxioRuntime, ...".
std::string KindNames();

// `path` is like "spec.mounts[3].options". Null if unknown.
const Field* FindField(const Kind& kind, std::string_view path);
// The field `name` directly below `path` ("" is the document); `name` may be anything.
const Field* FindChild(const Kind& kind, std::string_view path, std::string_view name);
// Names of the fields that may be directly below `path` ("" is the document).
std::vector<std::string_view> FieldsBelow(const Kind& kind, std::string_view path);

// The tables, one a file: schema_dataset.cc and schema_runtime.cc.
std::vector<FieldGroup> DatasetFields();
struct RuntimeFields {
  std::string_view kind;
  std::vector<FieldGroup> groups;
};
std::vector<RuntimeFields> AllRuntimeFields();

}  // namespace forebay
