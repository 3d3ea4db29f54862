// Loads as JSON: as they are stored, and as the API shows them.
#pragma once

#include <string>

#include "base/result.h"
#include "control/loads.h"

namespace forebay {

// Of the registry; decoding what EncodeLoad wrote loses nothing that outlives a run.
std::string EncodeLoad(const LoadRecord& load);
// Errors: kCorrupt.
Result<LoadRecord> DecodeLoad(const std::string& json);

// Of the API: CONTRACT.md section 3, and more.
std::string LoadJson(const LoadRecord& load);

}  // namespace forebay
