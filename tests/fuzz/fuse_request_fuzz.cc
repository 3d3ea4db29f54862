// Any bytes: a request of the kernel is refused, or what it says lies within its bytes, and the
// answers that it leads to have the sizes that the kernel will check. Also mountinfo, as the kernel
// prints what other users called their mounts.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "mount/mount_point.h"
#include "mount/reply.h"
#include "mount/request.h"

namespace {

using forebay::Request;

void CheckWithin(std::span<const std::byte> bytes, std::string_view text) {
  const auto* const begin = reinterpret_cast<const char*>(bytes.data());
  CHECK(text.data() >= begin && text.data() + text.size() < begin + bytes.size());
}

void CheckRequest(std::span<const std::byte> bytes, const Request& request) {
  if (const auto* lookup = std::get_if<forebay::LookupCall>(&request.call)) {
    CheckWithin(bytes, lookup->name);
    CHECK(!lookup->name.empty() && lookup->name.find('/') == std::string_view::npos);
  }
  if (const auto* get = std::get_if<forebay::GetXattrCall>(&request.call)) {
    CheckWithin(bytes, get->name);
  }
  if (const auto* forget = std::get_if<forebay::ForgetCall>(&request.call)) {
    CHECK(forget->nodes.size() <= bytes.size());
    CHECK(!forebay::WantsAnswer(request) || forget->nodes.empty());
  }
  if (const auto* init = std::get_if<forebay::InitCall>(&request.call)) {
    constexpr std::size_t kInitReplyBytes = 64;
    CHECK(forebay::EncodeInit(*init, true).size() == kInitReplyBytes);
  }
  if (const auto* read = std::get_if<forebay::ReadDirectoryCall>(&request.call)) {
    constexpr std::size_t kEntries = 100;
    constexpr std::size_t kWord = 8;
    forebay::DirectoryReply reply(read->size % forebay::kRequestBytesMax);
    std::vector<std::byte> dirent;
    forebay::AppendDirent(dirent, "name", {});
    for (std::size_t i = 0; i < kEntries; ++i) {
      const bool added = read->plus ? reply.AddPlus(dirent, {}, {}) : reply.Add(dirent);
      if (!added) break;
    }
    const auto encoded = std::move(reply).Take();
    CHECK(encoded.size() <= read->size && encoded.size() % kWord == 0);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto request = forebay::ParseRequest(bytes);
  if (request.ok()) CheckRequest(bytes, request.value());
  for (const auto& mounted : forebay::ParseMountInfo({reinterpret_cast<const char*>(data), size})) {
    CHECK(!mounted.directory.empty());
  }
  return 0;
}
