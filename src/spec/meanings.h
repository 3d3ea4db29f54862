// What single fields mean beyond what their table says: it depends on values. Used by Explain.
#pragma once

#include "spec/explain.h"

namespace forebay {

// Refines `row`, which has path, value and the table's words. Every row of a document comes here.
void RefineDataset(const DatasetSpec& spec, Explanation& row);
void RefineRuntime(const RuntimeSpec& spec, Explanation& row);

// Rows for the defaults that apply because nothing was written; `where` is the document's. The spec
// must come from a document.
std::vector<Explanation> DatasetDefaults(const DatasetSpec& spec, const std::string& where);
std::vector<Explanation> RuntimeDefaults(const RuntimeSpec& spec, const std::string& where);

// "5" of "spec.mounts[5].path" after "spec.mounts", or kNoIndex.
inline constexpr std::size_t kNoIndex = static_cast<std::size_t>(-1);
std::size_t IndexIn(std::string_view path, std::string_view list);

}  // namespace forebay
