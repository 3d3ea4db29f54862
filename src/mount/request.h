// Requests of the kernel, as /dev/fuse gives them: bytes to structs, and nothing else.
//
// The kernel is trusted not to lie, but not to be the version that this was built for: what is
// short, unterminated or longer than it says is refused, and what is not known is kUnknown.
//
// Source: <linux/fuse.h>, protocol 7.38 and what later versions only add to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace forebay {

// The protocol that is spoken: older kernels lack what is taken for granted here (7.31 is Linux
// 5.4), newer ones speak this, too.
inline constexpr std::uint32_t kFuseMajor = 7;
inline constexpr std::uint32_t kFuseMinorMin = 31;

// Views point into the bytes that were parsed.
struct InitCall {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::uint32_t read_ahead_max = 0;  // Bytes.
  std::uint64_t flags = 0;
};
struct LookupCall {
  std::string_view name;  // One component.
};
struct ForgetCall {
  struct Node {
    std::uint64_t node = 0;
    std::uint64_t lookups = 0;
  };
  std::vector<Node> nodes;
};
struct GetAttributesCall {};
struct OpenCall {
  std::uint32_t flags = 0;  // O_RDONLY and so on.
};
struct OpenDirectoryCall {};
struct ReadCall {
  std::uint64_t handle = 0;
  std::uint64_t offset = 0;
  std::uint32_t size = 0;
  bool is_direct = false;  // Past the kernel's pages, and so without its reading ahead.
};
struct ReadDirectoryCall {
  std::uint64_t handle = 0;
  std::uint64_t offset = 0;
  std::uint32_t size = 0;
  bool plus = false;  // With attributes: each entry is also looked up.
};
struct ReleaseCall {
  std::uint64_t handle = 0;
};
struct ReleaseDirectoryCall {
  std::uint64_t handle = 0;
};
struct StatFsCall {};
struct GetXattrCall {
  std::uint32_t size = 0;  // 0: only asks for the size.
  std::string_view name;
};
struct ListXattrCall {
  std::uint32_t size = 0;
};
struct AccessCall {
  std::uint32_t mask = 0;  // R_OK and so on.
};
struct InterruptCall {
  std::uint64_t unique = 0;  // Of the request that is meant.
};
struct DestroyCall {};
struct FlushCall {};
struct ChangeCall {};     // Anything that would change something.
struct MalformedCall {};  // Not as the protocol says.
struct UnknownCall {};

using FuseCall =
    std::variant<InitCall, LookupCall, ForgetCall, GetAttributesCall, OpenCall, OpenDirectoryCall,
                 ReadCall, ReadDirectoryCall, ReleaseCall, ReleaseDirectoryCall, StatFsCall,
                 GetXattrCall, ListXattrCall, AccessCall, InterruptCall, DestroyCall, FlushCall,
                 ChangeCall, MalformedCall, UnknownCall>;

struct Request {
  std::uint64_t unique = 0;  // The answer bears it. 0 for what is not answered.
  std::uint64_t node = 0;
  std::uint32_t opcode = 0;
  std::uint32_t tid = 0;  // Of the thread that asks; 0: of another pid namespace, or the kernel.
  FuseCall call = UnknownCall{};
};

// Whether the kernel waits for an answer to `request`.
bool WantsAnswer(const Request& request);

// One request, all of it. Pure. Errors: kInvalidArgument: not even a header that fits.
Result<Request> ParseRequest(std::span<const std::byte> bytes);

}  // namespace forebay
