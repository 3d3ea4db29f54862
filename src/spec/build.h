// From a checked tree to the specs of document.h; used by ParseDocuments alone.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "spec/document.h"
#include "spec/node.h"

namespace forebay {

// What both kinds of documents have.
struct ObjectName {
  std::string name;
  std::string namespace_name = "default";
};

// Of a tree that CheckFields took; `root` has no `written` yet. Both fill in every default.
// Errors: kInvalidArgument, beginning with the path.
Result<ObjectName> BuildName(const Node& root);
Result<DatasetSpec> BuildDataset(const Node& root, const std::string& where,
                                 std::vector<Warning>& warnings);
Result<RuntimeSpec> BuildRuntime(const std::string& kind, const Node& root);

// Whether `kind` reads a quota as small and bare as `quota` in MiB, as the JuiceFS runtime once
// did.
bool IsQuotaInMib(std::string_view kind, std::string_view quota);

// The names of a document. Errors: kInvalidArgument, beginning with the path.
Status CheckNames(const std::string& name, const std::string& namespace_name);

// Checks of a runtime that do not need the tree: names, replicas, levels.
Result<RuntimeSpec> Validated(RuntimeSpec spec);

}  // namespace forebay
