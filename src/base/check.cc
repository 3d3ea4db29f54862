#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace forebay {

void CheckFailed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "forebay: broken invariant at %s:%d: %s\n", file, line, condition);
  std::abort();
}

}  // namespace forebay
