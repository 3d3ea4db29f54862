// Addresses, and those of servers, as people and members files write them.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "io/http_call.h"
#include "io/socket.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto endpoint = forebay::ParseHttpEndpoint(text);
  if (endpoint.ok()) CHECK(endpoint.value().base_url.starts_with("http"));
  const auto address = forebay::ParseAddress(text);
  if (!address.ok()) return 0;
  constexpr std::size_t kUnixPathBytesMax = 107;  // Of sockaddr_un, without the final zero.
  CHECK(address.value().unix_path.size() <= kUnixPathBytesMax);
  CHECK(address.value().is_unix() == address.value().host.empty());
  static_cast<void>(address.value().is_local());
  return 0;
}
