#include "control/problem.h"
#include <nlohmann/json.hpp>

#include "control/json_text.h"

namespace forebay {
namespace {

std::string TitleOf(int status) {
  switch (status) {
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 409: return "Conflict";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "Internal Server Error";
  }
}

}  // namespace

int HttpStatusOf(Code code) {
  switch (code) {
    case Code::kInvalidArgument: return 400;
    case Code::kDenied: return 403;
    case Code::kNotHere:
    case Code::kNotFound: return 404;
    case Code::kChanged:
    case Code::kStale: return 409;
    case Code::kUnavailable:
    case Code::kOverloaded:
    case Code::kCancelled: return 503;
    case Code::kDeadlineExceeded: return 504;
    case Code::kCorrupt:
    case Code::kInternal: return 500;
  }
  return 500;
}

HttpReply ProblemReply(int status, const std::string& detail) {
  const nlohmann::json problem = {
      {"type", "about:blank"}, {"title", TitleOf(status)}, {"status", status}, {"detail", detail}};
  return {.status = status,
          .body = JsonText(problem) + "\n",
          .content_type = "application/problem+json"};
}

HttpReply ProblemReply(const Error& error) {
  return ProblemReply(HttpStatusOf(error.code()), error.message());
}

HttpReply JsonReply(std::string json, int status) {
  return {.status = status, .body = std::move(json), .content_type = "application/json"};
}

}  // namespace forebay
