// Amounts as Kubernetes writes them.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace forebay {

// Whole bytes of a Kubernetes quantity: "40Gi", "1.5G", "500M", "1e3", "40960"; parts of a byte are
// rounded up. From 0 to 2^63 - 1. Also our own spellings ("40GiB", "512MB").
// Errors: kInvalidArgument, with the value and what would do.
Result<std::uint64_t> ParseQuantity(std::string_view text);

}  // namespace forebay
