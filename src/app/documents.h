// The documents that -f names.
#pragma once

#include <stop_token>
#include <string>

#include "app/context.h"
#include "base/result.h"

namespace forebay {

struct Documents {
  std::string source;  // As messages name it: the file, or "standard input".
  std::string text;
};

// Reads --file, "-" from standard input. Obeys `stop` within 100 ms.
// Errors: kInvalidArgument, naming the flag, its value and what would do; kCancelled.
Result<Documents> ReadDocuments(const Context& context, std::stop_token stop);

}  // namespace forebay
