#include "base/result.h"

namespace forebay {

std::string_view CodeName(Code code) {
  switch (code) {
    case Code::kNotHere: return "NotHere";
    case Code::kNotFound: return "NotFound";
    case Code::kInvalidArgument: return "InvalidArgument";
    case Code::kUnavailable: return "Unavailable";
    case Code::kDeadlineExceeded: return "DeadlineExceeded";
    case Code::kChanged: return "Changed";
    case Code::kOverloaded: return "Overloaded";
    case Code::kCorrupt: return "Corrupt";
    case Code::kDenied: return "Denied";
    case Code::kStale: return "Stale";
    case Code::kCancelled: return "Cancelled";
    case Code::kInternal: return "Internal";
  }
  return "Unknown";
}

}  // namespace forebay
