// CHECK: our own invariants, always on. A cache must not serve bytes after losing one.
//
// Anything that comes from a network, a disk, a user or a cluster is a Result instead.
#pragma once

namespace forebay {

[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);

}  // namespace forebay

#define CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::forebay::CheckFailed(#condition, __FILE__, __LINE__))

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(NDEBUG)
#define DCHECK(condition) CHECK(condition)
#else
#define DCHECK(condition) static_cast<void>(sizeof(!(condition)))
#endif
