// Problem details (RFC 9457): errors as the API answers them.
#pragma once

#include <string>

#include "base/result.h"
#include "io/http_server.h"

namespace forebay {

// One table from codes to HTTP: kNotFound 404, kInvalidArgument 400, kDenied 403, kStale 409, ...
int HttpStatusOf(Code code);

HttpReply ProblemReply(const Error& error);
HttpReply ProblemReply(int status, const std::string& detail);

HttpReply JsonReply(std::string json, int status = 200);

}  // namespace forebay
