// Which reads a near worker takes in, and which go past it.
#pragma once

#include <cstdint>

namespace forebay {

struct NearRead {
  std::uint64_t file_bytes = 0;
  std::uint64_t length = 0;     // Bytes that are read.
  bool in_order = false;        // It goes on where another ended.
  bool touched_before = false;  // Its chunk was read before.
};

// Files of up to this size are taken in as soon as they are touched.
inline constexpr std::uint64_t kNearSmallFileBytes = 16u << 20;
// As are larger reads than this. A mount reads so much of every file that is opened.
inline constexpr std::uint64_t kNearFirstLookBytes = 64u << 10;

// Whether the chunks of `read` are worth having here. A small read at random of a large file is
// not: it would cost hundreds of times its bytes. Pure.
constexpr bool IsWorthKeeping(const NearRead& read) {
  return read.file_bytes <= kNearSmallFileBytes || read.length > kNearFirstLookBytes ||
         read.in_order || read.touched_before;
}

}  // namespace forebay
