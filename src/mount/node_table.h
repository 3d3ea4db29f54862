// NodeTable: what the kernel knows by number, in memory that outlives the process that serves it.
//
// Invariant: at whatever instruction that process is killed, a record is whole or not there, and
// its number was never another's.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "upstream/upstream.h"

namespace forebay {

// Shared with children that are forked. One process at a time uses it, after Adopt.
//
// Thread safety: none, but for `lookups` and `backing`. Memory: the path and the version, 48 bytes,
// and up to half as much again; what is removed is used again, and never given back.
class NodeTable {
 public:
  // Of addresses; memory is used as records come. About 16 million of them.
  static constexpr std::size_t kBytesMax = std::size_t{4} << 30;

  struct Record {
    std::atomic<std::uint64_t> id;  // 0: there is none. Stored last, cleared first.
    std::atomic<std::uint64_t> lookups;
    std::uint64_t size;
    std::int64_t mtime_ns;
    std::atomic<std::int32_t> backing;  // Backings' number; below 0: it was being closed.
    std::uint32_t path_bytes;
    std::uint16_t version_bytes;
    FileType type;
    // Then the path and the version.
  };
  struct Known {
    Record& record;
    std::string path;
    Attributes attributes;
  };

  // Errors: kUnavailable: no address space.
  static Result<std::unique_ptr<NodeTable>> Create(std::size_t bytes = kBytesMax);
  ~NodeTable();
  NodeTable(const NodeTable&) = delete;
  NodeTable& operator=(const NodeTable&) = delete;

  // The process that calls this is the one that uses it from now on. Visits what is there.
  void Adopt(const std::function<void(Known)>& visit);
  // How many processes have adopted it.
  std::uint64_t serial() const;

  // The newest number of a backing that was noted.
  std::int32_t last_backing() const;
  void set_last_backing(std::int32_t number);

  // With the next number, and one lookup. Null: the table is full, or the names are longer than
  // 60 KiB.
  Record* Add(std::string_view path, const Attributes& attributes);
  void Remove(Record& record);

 private:
  struct Header;
  struct Chunk;

  static constexpr std::size_t kChunkBytes = 64u << 10;
  static constexpr std::array<std::uint32_t, 11> kSlotBytes = {
      96, 128, 192, 256, 384, 512, 1024, 2048, 4096, 16u << 10, 60u << 10};

  NodeTable(std::byte* memory, std::size_t bytes) : memory_(memory), bytes_(bytes) {}

  Header& header() const;
  Chunk& ChunkAt(std::uint64_t index) const;
  // Nothing is visited of a chunk that is new.
  void Scan(Chunk& chunk, const std::function<void(Known)>& visit);
  bool AddChunk(std::size_t size_class);

  std::byte* const memory_;
  const std::size_t bytes_;
  std::array<std::vector<Record*>, kSlotBytes.size()> free_;  // By class of size.
};

}  // namespace forebay
