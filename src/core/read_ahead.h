// ReadAhead: what to fetch before it is asked for.
//
// A file read in order is fetched further and further ahead; one read at random is not.
#pragma once

#include <cstdint>

namespace forebay {

struct ByteRange {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  bool operator==(const ByteRange&) const = default;
};

// One open file.
//
// Thread safety: none; the file guards it.
class ReadAhead {
 public:
  // Nothing beyond `file_bytes`, and at most `ahead_max_bytes` beyond a read, is asked for.
  ReadAhead(std::uint64_t file_bytes, std::uint32_t block_bytes, std::uint64_t ahead_max_bytes);

  // The program reads `length` bytes at `offset`. Returns what to fetch besides: whole blocks that
  // follow it and were not returned before in this run; length 0 if nothing.
  //
  // A read is in order if it starts where the last one ended, or up to a block further on, or it is
  // the first and starts at 0. The first in order asks for one block, each next doubles that. Any
  // other read starts again from nothing.
  ByteRange Read(std::uint64_t offset, std::uint64_t length);

 private:
  const std::uint64_t file_bytes_;
  const std::uint32_t block_bytes_;
  const std::uint64_t ahead_max_bytes_;
  std::uint64_t expected_ = 0;     // Where a read in order starts.
  std::uint64_t ahead_bytes_ = 0;  // How far ahead the last read looked.
  std::uint64_t asked_until_ = 0;  // End of what this run has asked for.
};

}  // namespace forebay
