// The word that somebody who mistyped one probably meant.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace forebay {

// The one of `known` with the fewest single letters to add, drop or replace; the first of several.
// Empty if `known` is. Cost: a product of lengths each; `word` counts up to its 256th byte.
std::string_view Nearest(std::string_view word, std::span<const std::string_view> known);

}  // namespace forebay
