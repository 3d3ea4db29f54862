// Any bytes: ParseMembers returns members that the ring takes, or an error; it never throws.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "cluster/members.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const forebay::Result<forebay::MembersFile> file =
      forebay::ParseMembers(std::string(reinterpret_cast<const char*>(data), size));
  if (!file.ok()) {
    CHECK(file.error().code() == forebay::Code::kInvalidArgument);
    return 0;
  }
  for (const forebay::Member& member : file.value().members) {
    CHECK(!member.name.empty() && member.weight >= 1 && member.weight <= 1000);
  }
  return 0;
}
