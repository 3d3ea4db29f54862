#include "spec/schema.h"

#include <algorithm>
#include <array>

namespace forebay {
namespace {

using enum FieldType;
using enum Effect;

constexpr std::string_view kServerSide = "written by an API server; ignored in what people write";

constexpr auto kObject = std::to_array<Field>({
    {"apiVersion", kText, kUsed, "the API of Fluid that this document is written for"},
    {"kind", kText, kUsed, "what the document describes"},
    {"metadata", kMap, kUsed, "name and namespace"},
    {"metadata.name", kText, kUsed, "the name; a dataset and its runtime have the same"},
    {"metadata.namespace", kText, kUsed, "the namespace; default is `default`"},
    {"metadata.labels", kLabels, kNothing,
     "kept with the document; nothing here selects by labels"},
    {"metadata.annotations", kLabels, kUsed,
     "kept with the document; those that begin with forebay.io/ are settings"},
    {"metadata.creationTimestamp", kAny, kNothing, kServerSide},
    {"metadata.deletionGracePeriodSeconds", kAny, kNothing, kServerSide},
    {"metadata.deletionTimestamp", kAny, kNothing, kServerSide},
    {"metadata.finalizers", kAny, kNothing, kServerSide},
    {"metadata.generateName", kAny, kNothing, "ignored: a name is needed, and is not made up"},
    {"metadata.generation", kAny, kNothing, kServerSide},
    {"metadata.managedFields", kAny, kNothing, kServerSide},
    {"metadata.ownerReferences", kAny, kNothing, kServerSide},
    {"metadata.resourceVersion", kAny, kNothing, kServerSide},
    {"metadata.selfLink", kAny, kNothing, kServerSide},
    {"metadata.uid", kAny, kNothing, kServerSide},
    {"spec", kMap, kUsed, "what is wanted"},
    {"status", kAny, kNothing, "the system's own report; ignored in what people write"},
});

std::vector<Kind> MakeKinds() {
  const FieldGroup object{"", kObject};
  std::vector<Kind> kinds;
  kinds.push_back({"Dataset", DatasetFields()});
  for (RuntimeFields& runtime : AllRuntimeFields()) {
    kinds.push_back({runtime.kind, std::move(runtime.groups)});
  }
  for (Kind& kind : kinds) kind.groups.push_back(object);
  return kinds;
}

const std::vector<Kind>& Kinds() {
  static const std::vector<Kind> kinds = MakeKinds();
  return kinds;
}

// "spec.mounts[3].name" as the tables have it: "spec.mounts[].name".
std::string InTable(std::string_view path) {
  std::string plain;
  bool index = false;
  for (const char c : path) {
    index = c == '[' || (index && c != ']');
    if (!index || c == '[') plain += c;
  }
  return plain;
}

}  // namespace

const Kind* FindKind(std::string_view name) {
  const auto found = std::ranges::find(Kinds(), name, &Kind::name);
  return found == Kinds().end() ? nullptr : &*found;
}

std::string KindNames() {
  std::string names;
  for (const Kind& kind : Kinds()) names += (names.empty() ? "" : ", ") + std::string(kind.name);
  return names;
}

const Field* FindField(const Kind& kind, std::string_view path) {
  const std::string plain = InTable(path);
  for (const FieldGroup& group : kind.groups) {
    if (!plain.starts_with(group.prefix)) continue;
    const std::string_view rest = std::string_view(plain).substr(group.prefix.size());
    const auto found = std::ranges::find(group.fields, rest, &Field::path);
    if (found != group.fields.end()) return &*found;
  }
  return nullptr;
}

const Field* FindChild(const Kind& kind, std::string_view path, std::string_view name) {
  if (name.empty() || name.find_first_of(".[]") != std::string_view::npos) return nullptr;
  return FindField(kind,
                   path.empty() ? std::string(name) : std::string(path) + '.' + std::string(name));
}

std::vector<std::string_view> FieldsBelow(const Kind& kind, std::string_view path) {
  const std::string parent = path.empty() ? "" : InTable(path) + '.';
  std::vector<std::string_view> names;
  for (const FieldGroup& group : kind.groups) {
    for (const Field& field : group.fields) {
      const std::string whole = std::string(group.prefix) + std::string(field.path);
      // A field's own part names all that is below `parent`, or it lies deeper.
      if (!whole.starts_with(parent) || whole.size() - parent.size() > field.path.size()) continue;
      const std::string_view below =
          field.path.substr(parent.size() + field.path.size() - whole.size());
      if (!below.empty() && below.find_first_of(".[") == std::string_view::npos) {
        names.push_back(below);
      }
    }
  }
  return names;
}

}  // namespace forebay
