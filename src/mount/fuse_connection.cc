#include "mount/fuse_connection.h"

#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include "base/log.h"
#include "mount/reply.h"
#include "mount/request.h"

namespace forebay {
namespace {

constexpr std::uint64_t kHasResend = std::uint64_t{1} << 39;  // FUSE_HAS_RESEND of Linux 6.9.

// What the kernel offers.
Result<InitCall> Negotiate(KernelChannel& channel, bool may_pass_through) {
  std::array<std::byte, KernelChannel::kRequestBufferBytes> buffer{};
  while (true) {
    const Result<std::span<const std::byte>> bytes = channel.Receive(buffer);
    if (!bytes.ok()) return bytes.error();
    const Result<Request> request = ParseRequest(bytes.value());
    if (!request.ok()) return request.error();
    const std::uint64_t unique = request.value().unique;
    const auto* const init = std::get_if<InitCall>(&request.value().call);
    if (init == nullptr) {
      channel.AnswerError(unique, EIO);
      return Error(Code::kUnavailable, "the kernel's first request was not INIT");
    }
    if (init->major < kFuseMajor || (init->major == kFuseMajor && init->minor < kFuseMinorMin)) {
      channel.AnswerError(unique, EPROTO);
      return Error(Code::kUnavailable, "the kernel speaks FUSE " + std::to_string(init->major) +
                                           '.' + std::to_string(init->minor) +
                                           "; Linux 5.4 or later is needed");
    }
    const bool is_newer = init->major > kFuseMajor;  // It asks again in our version.
    channel.Answer(unique, EncodeInit(*init, may_pass_through));
    if (!is_newer) return *init;
  }
}

}  // namespace

Result<FuseConnection> FuseConnection::Settle(UniqueFd device, const Choices& choices) {
  FuseConnection connection;
  connection.original_ = std::make_shared<KernelChannel>(std::move(device));
  const Result<InitCall> offered = Negotiate(*connection.original_, choices.may_pass_through);
  if (!offered.ok()) return offered.error();
  connection.can_resend_ = choices.may_resend && (offered.value().flags & kHasResend) != 0;
  connection.can_pass_through_ =
      choices.may_pass_through && (offered.value().flags & kHasPassthrough) != 0;
  for (int i = 0; i < kChannels; ++i) {
    Result<UniqueFd> clone = connection.original_->Clone();
    if (!clone.ok()) break;
    connection.channels_.push_back(std::make_shared<KernelChannel>(std::move(clone).value()));
  }
  if (connection.channels_.empty()) connection.channels_.push_back(connection.original_);
  return connection;
}

void FuseConnection::Recover() {
  if (can_resend_ && original_->AskToResend().ok()) return;
  if (channels_.front() == original_) return;
  for (const std::shared_ptr<KernelChannel>& channel : channels_) {
    Result<UniqueFd> clone = original_->Clone();
    if (!clone.ok()) {
      Log(Level::kError, "a mount's channel is lost", {{"error", clone.error().message()}});
      continue;
    }
    channel->Reopen(std::move(clone).value());
  }
}

}  // namespace forebay
