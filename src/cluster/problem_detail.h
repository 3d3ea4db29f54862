// What control says of a request that it refused.
#pragma once

#include <string>

#include "io/http_call.h"

namespace forebay {

// "detail" of the problem document (RFC 9457); without one, the status.
std::string ProblemDetail(const HttpAnswer& answer);

}  // namespace forebay
