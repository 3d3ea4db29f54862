// What a mount and the near worker beside it say to each other: docs/formats/near.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace forebay {

// No message is larger.
inline constexpr std::size_t kNearMessageBytesMax = 32u << 10;
// What a near worker takes in at a time, and says to be there.
inline constexpr std::uint32_t kNearChunkBytes = 2u << 20;

enum class NearQuestionKind : std::uint8_t {
  kOpen = 1,  // A descriptor of the file, please.
  kFill = 2,  // These bytes, please, into the file.
};

// One version of one file, and what is wanted of it.
struct NearQuestion {
  NearQuestionKind kind = NearQuestionKind::kOpen;
  std::string url;
  std::string version;
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;
  std::uint32_t timeout_ms = 0;
  // Of kFill.
  std::uint64_t incarnation = 0;
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
};

enum class NearAnswerKind : std::uint8_t {
  kDone = 1,
  kWorking = 2,  // Still at it; another answer follows.
  kNot = 3,      // Read it without the near worker.
};

struct NearAnswer {
  NearAnswerKind kind = NearAnswerKind::kNot;
  std::uint64_t incarnation = 0;
  bool whole = false;  // All of it is there, and verified.
  // Chunks that are there: `chunks` of them from `first_chunk` on.
  std::uint32_t first_chunk = 0;
  std::uint32_t chunks = 0;
};

// Errors of decoding: kCorrupt, kInvalidArgument: another version, or not a message.
std::vector<std::byte> Encode(const NearQuestion& question);
Result<NearQuestion> DecodeNearQuestion(std::span<const std::byte> bytes);
std::vector<std::byte> Encode(const NearAnswer& answer);
Result<NearAnswer> DecodeNearAnswer(std::span<const std::byte> bytes);

}  // namespace forebay
