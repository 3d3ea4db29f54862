// FuseConnection: a mount's descriptors of /dev/fuse, and what was settled with the kernel, once.
// It outlives the processes that serve the mount.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "io/unique_fd.h"
#include "mount/session.h"

namespace forebay {

// Thread safety: none.
class FuseConnection {
 public:
  // What is used if the kernel has it; false: as before Linux 6.9.
  struct Choices {
    bool may_resend = true;
    bool may_pass_through = true;
  };

  // `device` was mounted. Answers the kernel's first request. Errors: kUnavailable: unmounted at
  // once, or the kernel is too old.
  static Result<FuseConnection> Settle(UniqueFd device, const Choices& choices);

  // For a session of this process, or of a child. Whatever was received through them is lost with
  // the last descriptor of the channel: so they are kept here.
  const Session::Channels& channels() const { return channels_; }

  // Whether the kernel can read a node's bytes from another file.
  bool can_pass_through() const { return can_pass_through_; }

  // The process that served is gone: the kernel sends again what that left unanswered, or, if it
  // cannot, ends it with ECONNABORTED. Never blocks.
  void Recover();

 private:
  // As many as threads that meet at one lock are few.
  static constexpr int kChannels = 16;

  FuseConnection() = default;

  // Nothing is received through it if there are clones.
  std::shared_ptr<KernelChannel> original_;
  Session::Channels channels_;
  bool can_resend_ = false;
  bool can_pass_through_ = false;
};

}  // namespace forebay
