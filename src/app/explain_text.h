// Explanations as text for people, and as JSON for scripts.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "spec/explain.h"

namespace forebay {

// A paragraph a row, wrapped at `width` columns, below the name of its document.
std::string ExplanationTable(const std::vector<Explanation>& rows, std::size_t width);

// [{"document","path","value","meaning","level","remedy"}].
std::string ExplanationJson(const std::vector<Explanation>& rows);

}  // namespace forebay
