// The documents behind -f: a file, or standard input.
#pragma once

#include "app/context.h"
#include "base/result.h"
#include "spec/document.h"

namespace forebay {

// Reads and parses what --file names; "-" is standard input.
// Errors: kInvalidArgument: the flag is missing, the file cannot be read, or its content is wrong.
Result<ParsedDocuments> ReadDocuments(const Context& context);

}  // namespace forebay
