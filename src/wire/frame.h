// Frame headers: the 64 bytes before everything that workers and clients say to each other.
//
// Byte tables: docs/formats/wire.md. Nothing here touches a socket, and nothing is allocated before
// a header's checksum and lengths were found good.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "core/ids.h"

namespace forebay {

inline constexpr std::size_t kFrameHeaderBytes = 64;
// Of one frame. A listing page of 1,000 names of 1 KiB fits into a body; a payload is at most what
// a worker puts on its link in one go.
inline constexpr std::uint32_t kFrameBodyBytesMax = 2u << 20;
inline constexpr std::uint32_t kFramePayloadBytesMax = 4u << 20;
// Versions of the protocol that this build speaks.
inline constexpr std::uint8_t kProtocolVersion = 1;
inline constexpr std::uint8_t kProtocolVersionMin = 1;

enum class FrameType : std::uint8_t {
  kHello = 1,      // Client's first frame.
  kWelcome = 2,    // The worker's answer, or kError.
  kReadBlock = 3,  // Asks for a range of a block.
  kBlockData = 4,  // A run of granules of it; the last one has kFlagLast.
  kStat = 5,       // Asks a directory's home for one name.
  kStatReply = 6,
  kList = 7,  // Asks a directory's home for a page of its listing.
  kListReply = 8,
  kAck = 9,      // Only carries `acked`.
  kCancel = 10,  // The sender of request `request_id` no longer wants it.
  kError = 11,   // Ends a request: `code` and a message in the body.
  kPing = 12,    // Is the worker alive, though it has nothing to send yet?
  kPong = 13,
  kGroup = 14,  // Asks for the map, and for a dataset by name.
  kGroupReply = 15,
  kHave = 16,  // Asks which blocks of some file versions are held.
  kHaveReply = 17,
  kDrop = 18,  // Asks to forget a dataset's blocks.
  kDropReply = 19,
  kMetrics = 20,  // Asks for the process's metrics.
  kMetricsReply = 21,
  kStale = 22,  // Ends a read, Stat or List of an older epoch: the body has the newer map.
};

// Of kReadBlock.
inline constexpr std::uint16_t kFlagFillOnly = 1;  // Hold the block; send no bytes back.
inline constexpr std::uint16_t kFlagInsist = 2;    // Queue it, however long the queue.
// A copy of it failed its checksum: compare first.
inline constexpr std::uint16_t kFlagRecheck = 4;
inline constexpr std::uint16_t kFlagPeer = 8;  // From a worker that fills its own copy.
// Of kBlockData.
inline constexpr std::uint16_t kFlagLast = 16;
// Of kBlockData: the worker had to wait for a fill (kFlagFilled) from a peer (kFlagFromPeer) or
// from the upstream.
inline constexpr std::uint16_t kFlagFilled = 32;
inline constexpr std::uint16_t kFlagFromPeer = 64;
// Of kPing: something changed at control; call it at once.
inline constexpr std::uint16_t kFlagRefresh = 128;
// Of kHave: compare the checksums of the blocks first, and forget those that do not match.
inline constexpr std::uint16_t kFlagVerify = 256;
// Of kReadBlock: from the block's new home to its previous one. It is answered from the tier, or by
// joining a fill under way, and otherwise with kNotHere: one hop.
inline constexpr std::uint16_t kFlagHeldOnly = 512;

struct FrameHeader {
  FrameType type = FrameType::kHello;
  std::uint8_t version = kProtocolVersion;
  std::uint16_t flags = 0;
  std::uint32_t body_bytes = 0;     // After the header; ends with its own CRC32C if not 0.
  std::uint32_t payload_bytes = 0;  // After the body.
  std::uint64_t request_id = 0;     // Chosen by the client, unique on the connection.
  std::uint64_t epoch = 0;          // Of the sender's ring.
  std::uint64_t acked = 0;          // Client: data frames received on this connection so far.
  DomainId domain;                  // Handle of the cache domain.
  std::uint32_t queue_depth = 0;    // Worker: blocks waiting for its link.
  std::uint32_t deadline_ms = 0;    // Client: what is left of its deadline.
  std::uint16_t holders = 0;        // Worker: how many holders the file has now.
  std::uint16_t code = 0;           // kError: a Code.
};

using FrameHeaderBytes = std::array<std::byte, kFrameHeaderBytes>;

FrameHeaderBytes EncodeFrameHeader(const FrameHeader& header);

// Errors: kInvalidArgument: not our magic, another version than we speak, an unknown type, or a
// length over its limit. kCorrupt: its checksum is wrong.
Result<FrameHeader> DecodeFrameHeader(std::span<const std::byte, kFrameHeaderBytes> bytes);

}  // namespace forebay
