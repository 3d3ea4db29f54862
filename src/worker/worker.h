// Worker: holds blocks in its tier, serves them, and fills what is missing.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "cluster/control_link.h"
#include "cluster/members.h"
#include "io/socket.h"
#include "store/memory_tier.h"

namespace forebay {

struct WorkerOptions {
  std::string name;                       // With a members file: one of its members.
  Address address;                        // Where it listens; what a members file says of `name`.
  std::optional<ControlAddress> control;  // The group's. None: `members` is the group, for ever.
  std::string snapshot_directory;         // STATE/snapshots of the control, if on this host.
  MembersFile members;
  std::uint32_t block_bytes_max = 4u << 20;        // In a group: of the datasets that it takes.
  std::map<std::string, std::string> environment;  // For credentials and open store options.
  std::uint64_t memory_bytes = std::uint64_t{1} << 30;
  std::string tier_directory;
  bool own_mount = true;
  bool insecure = false;                    // Listen beyond loopback without authentication.
  std::uint32_t upstream_concurrency = 16;  // Block fills from the store at a time. 1 to 256.
};

// Thread safety: safe.
class Worker {
 public:
  // Serves once this returns. In a group it knows nothing before it has joined.
  // Errors: kInvalidArgument naming the option, its value and what would do; those of MemoryTier
  // and Listen.
  static Result<std::unique_ptr<Worker>> Start(const WorkerOptions& options);

  // Waits until control knows this worker; at once with a members file. Errors: kDenied: another
  // living worker has this name; kCancelled (within 100 ms of the stop).
  Status AwaitJoined(std::stop_token stop);

  // Tells control that this worker goes in order; call it before the end. Within 3 s.
  void Leave();

  // Closes all connections, stops fills, and removes the tier. Takes at most a few seconds.
  ~Worker();

  const Address& address() const;
  TierUsage usage() const;

 private:
  struct State;
  explicit Worker(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace forebay
