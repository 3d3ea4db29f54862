#include "wire/near_messages.h"

#include "wire/codec.h"

namespace forebay {
namespace {

constexpr std::uint8_t kVersion = 1;

// Reads the version that every message begins with.
Status CheckVersion(Decoder& decoder) {
  const std::uint8_t version = decoder.U8();
  if (decoder.failed() || version == kVersion) return {};  // Finish says what failed.
  return Error(Code::kInvalidArgument, "the near worker's peer speaks version " +
                                           std::to_string(version) +
                                           "; use the same release for both");
}

}  // namespace

std::vector<std::byte> Encode(const NearQuestion& question) {
  Encoder encoder;
  encoder.U8(kVersion);
  encoder.U8(static_cast<std::uint8_t>(question.kind));
  encoder.Text(question.url);
  encoder.Text(question.version);
  encoder.U64(question.size);
  encoder.I64(question.mtime_ns);
  encoder.U32(question.timeout_ms);
  encoder.U64(question.incarnation);
  encoder.U64(question.offset);
  encoder.U32(question.length);
  return std::move(encoder).Finish();
}

Result<NearQuestion> DecodeNearQuestion(std::span<const std::byte> bytes) {
  Decoder decoder(bytes);
  if (Status known = CheckVersion(decoder); !known.ok()) return known.error();
  NearQuestion question;
  const std::uint8_t kind = decoder.U8();
  question.url = decoder.Text();
  question.version = decoder.Text();
  question.size = decoder.U64();
  question.mtime_ns = decoder.I64();
  question.timeout_ms = decoder.U32();
  question.incarnation = decoder.U64();
  question.offset = decoder.U64();
  question.length = decoder.U32();
  if (Status finished = decoder.Finish(); !finished.ok()) return finished.error();
  question.kind = static_cast<NearQuestionKind>(kind);
  if (question.kind != NearQuestionKind::kOpen && question.kind != NearQuestionKind::kFill) {
    return Error(Code::kInvalidArgument, "not a question to a near worker");
  }
  if (question.kind == NearQuestionKind::kFill &&
      (question.offset >= question.size || question.length == 0 ||
       question.length > question.size - question.offset)) {
    return Error(Code::kInvalidArgument, "a range that the file does not have");
  }
  return question;
}

std::vector<std::byte> Encode(const NearAnswer& answer) {
  Encoder encoder;
  encoder.U8(kVersion);
  encoder.U8(static_cast<std::uint8_t>(answer.kind));
  encoder.U64(answer.incarnation);
  encoder.U8(answer.whole ? 1 : 0);
  encoder.U32(answer.first_chunk);
  encoder.U32(answer.chunks);
  return std::move(encoder).Finish();
}

Result<NearAnswer> DecodeNearAnswer(std::span<const std::byte> bytes) {
  Decoder decoder(bytes);
  if (Status known = CheckVersion(decoder); !known.ok()) return known.error();
  NearAnswer answer;
  const std::uint8_t kind = decoder.U8();
  answer.incarnation = decoder.U64();
  answer.whole = decoder.U8() != 0;
  answer.first_chunk = decoder.U32();
  answer.chunks = decoder.U32();
  if (Status finished = decoder.Finish(); !finished.ok()) return finished.error();
  answer.kind = static_cast<NearAnswerKind>(kind);
  if (answer.kind < NearAnswerKind::kDone || answer.kind > NearAnswerKind::kNot) {
    return Error(Code::kInvalidArgument, "not an answer of a near worker");
  }
  return answer;
}

}  // namespace forebay
