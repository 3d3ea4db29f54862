// Bodies of the frames: structs, and their bytes. Tables: docs/formats/wire.md.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/result.h"
#include "core/ids.h"

namespace forebay {

inline constexpr std::uint32_t kPathBytesMax = 4096;

// kHello. What a client must agree on with a worker before anything else.
struct Hello {
  std::uint8_t version_min = 0;
  std::uint8_t version_max = 0;
  std::uint64_t reader_id = 0;    // Random, one per process: tells distinct readers apart.
  std::uint32_t block_bytes = 0;  // 0: a group, in which every dataset has its own.
  std::string endpoint;           // Of the store, as resolved; "" for the store's public one.
  std::string auth;               // Capability token; empty until security lands.
};

// kWelcome.
struct Welcome {
  std::uint8_t version = 0;
  std::string member;  // The worker's name.
};

// kReadBlock: bytes [offset, offset + length) of block `index`. The answer covers the whole
// granules that contain them.
struct ReadBlock {
  std::string store;  // "s3://BUCKET", "file://" or "dataset:UID".
  std::string path;
  std::string version;
  std::uint64_t file_size = 0;
  std::uint32_t index = 0;
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
  std::uint32_t block_bytes = 0;  // The size of the dataset's blocks; 0: the handshake's.
};

// kBlockData.
struct BlockData {
  std::uint32_t offset = 0;              // Of the payload in the block; granule-aligned.
  std::vector<std::uint32_t> checksums;  // One a granule of the payload.
};

// kStat and kList. `max_age` is what is left of the asker's staleness bound; 0 only joins a check
// that was not sent yet; max(): pinned, any age will do.
struct Lookup {
  std::string store;
  std::string path;   // Of the file, or of the directory ("" or ending in '/').
  std::string after;  // kList: where the page starts.
  std::chrono::milliseconds max_age{0};
  std::uint64_t refreshed = 0;  // The dataset's count of refreshes, as the asker knows it.
};

struct WireAttributes {
  std::uint8_t type = 0;  // A FileType.
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;
  std::string version;
};

struct WireEntry {
  std::string name;
  WireAttributes attributes;
};

// kStatReply (one entry, without a name) and kListReply.
struct LookupReply {
  std::chrono::milliseconds age{0};  // Counted from before the upstream was asked.
  std::vector<WireEntry> entries;
  std::string next;
  std::uint64_t left_out = 0;
};

// kGroup. No dataset: only the map is meant.
struct GroupQuestion {
  std::string dataset;
  std::string name_space;
};

// kHave: `files` of the dataset, at most what fits into a frame's body, and the answer as well.
struct Have {
  struct File {
    Digest128 path;
    Digest128 version;
    std::uint32_t blocks = 0;  // Of the file, from block 0.
  };
  DatasetUid dataset;
  std::vector<File> files;
};

// kHaveReply: of each file in turn one bit a block, lowest first, padded to whole bytes.
struct HaveReply {
  std::vector<std::uint8_t> bits;
};
constexpr std::size_t HeldBytes(std::uint32_t blocks) {
  return (std::size_t{blocks} + 7) / 8;
}
// The most files of one Have, and the most bytes of bits of its answer: an asker splits.
inline constexpr std::size_t kHaveFilesMax = 50'000;
inline constexpr std::size_t kHaveBitBytesMax = 2'000'000;

// kDrop. No paths: all of the dataset.
struct Drop {
  DatasetUid dataset;
  std::vector<Digest128> paths;  // At most kDropPathsMax.
};
inline constexpr std::size_t kDropPathsMax = 100'000;

// kDropReply.
struct DropReply {
  std::uint64_t bytes = 0;  // What this worker held of it.
};

// kGroupReply, kMetricsReply and kStale: a text, and nothing else.
struct TextReply {
  std::string text;
};

std::vector<std::byte> Encode(const Hello& message);
std::vector<std::byte> Encode(const Welcome& message);
std::vector<std::byte> Encode(const ReadBlock& message);
std::vector<std::byte> Encode(const BlockData& message);
std::vector<std::byte> Encode(const Lookup& message);
std::vector<std::byte> Encode(const LookupReply& message);
std::vector<std::byte> Encode(const GroupQuestion& message);
std::vector<std::byte> Encode(const Have& message);
std::vector<std::byte> Encode(const HaveReply& message);
std::vector<std::byte> Encode(const Drop& message);
std::vector<std::byte> Encode(const DropReply& message);
std::vector<std::byte> Encode(const TextReply& message);
std::vector<std::byte> EncodeErrorText(const std::string& message);

// Errors of all: kCorrupt or kInvalidArgument, without allocating more than the body holds.
Result<Hello> DecodeHello(std::span<const std::byte> body);
Result<Welcome> DecodeWelcome(std::span<const std::byte> body);
Result<ReadBlock> DecodeReadBlock(std::span<const std::byte> body);
Result<BlockData> DecodeBlockData(std::span<const std::byte> body);
Result<Lookup> DecodeLookup(std::span<const std::byte> body);
Result<LookupReply> DecodeLookupReply(std::span<const std::byte> body);
Result<GroupQuestion> DecodeGroupQuestion(std::span<const std::byte> body);
Result<Have> DecodeHave(std::span<const std::byte> body);
Result<HaveReply> DecodeHaveReply(std::span<const std::byte> body);
Result<Drop> DecodeDrop(std::span<const std::byte> body);
Result<DropReply> DecodeDropReply(std::span<const std::byte> body);
Result<TextReply> DecodeTextReply(std::span<const std::byte> body);
// What a kError frame says: its code (kInternal for one that this build does not know) and text.
Error DecodeError(std::uint16_t code, std::span<const std::byte> body);

}  // namespace forebay
