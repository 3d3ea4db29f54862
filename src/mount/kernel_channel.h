// KernelChannel: how requests come from the kernel, and answers go back: a descriptor of /dev/fuse.
//
// Everything above it knows requests and answers only, so another transport is another
// KernelChannel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"
#include "io/unique_fd.h"

namespace forebay {

// Thread safety: safe. An answer goes back through the channel that its request came from.
class KernelChannel {
 public:
  // What the kernel wants room for.
  static constexpr std::size_t kRequestBufferBytes = 8192;

  explicit KernelChannel(UniqueFd device) : device_(std::move(device)) {}

  // Takes another descriptor, and closes its own. Not while anything else is called.
  void Reopen(UniqueFd device) { device_ = std::move(device); }

  // Another channel of the same mount, with a queue of its own in the kernel (FUSE_DEV_IOC_CLONE),
  // so that threads do not meet at one lock. Errors: kUnavailable: the kernel, or whatever this is,
  // has only one.
  Result<UniqueFd> Clone() const;

  // Waits for the next request; returns its bytes in `buffer`. It takes neither deadline nor stop:
  // it ends with the mount. Errors: kUnavailable: there is no mount any more.
  Result<std::span<const std::byte>> Receive(std::span<std::byte> buffer);

  // Answers with `body` in up to two parts. An answer that nobody waits for any more is dropped.
  void Answer(std::uint64_t unique, std::span<const std::byte> body,
              std::span<const std::byte> more = {});
  // Asks the kernel to send again what was received and not answered, by whomever and through
  // whatever channel of this mount. Errors: kUnavailable: it cannot (before Linux 6.9).
  Status AskToResend();
  // Has the kernel keep the file of `fd`, for nodes whose opens say that they are read from it.
  // Returns its number in this mount, > 0; numbers are given in order. Errors: kDenied (only
  // CAP_SYS_ADMIN may), kUnavailable (before Linux 6.9).
  Result<std::int32_t> OpenBacking(int fd);
  // What has it open keeps it. A number that is none does no harm.
  void CloseBacking(std::int32_t number);
  // Has the kernel ask for each name before it uses it again; what is open stays. Never waits.
  // Errors: kUnavailable: it cannot (before Linux 6.16).
  Status ForgetNames();
  // The same of one name in `directory`. May wait for requests about that directory.
  void ForgetName(std::uint64_t directory, std::string_view name);
  // Attributes of `node`, but not its pages.
  void ForgetAttributes(std::uint64_t node);
  // Answers with an error number from <cerrno>.
  void AnswerError(std::uint64_t unique, int error);

 private:
  // Tells the kernel something that it did not ask for.
  Status Notify(int code, std::span<const std::byte> body, std::span<const std::byte> more);
  void Send(std::uint64_t unique, int error, std::span<const std::byte> body,
            std::span<const std::byte> more);

  UniqueFd device_;
};

}  // namespace forebay
