// Worker: holds blocks in its tier, serves them, and fills what is missing.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "cluster/members.h"
#include "io/socket.h"
#include "store/memory_tier.h"

namespace forebay {

struct WorkerOptions {
  std::string name;  // One of the members.
  Address address;   // Where it listens; what the members file says of `name`.
  MembersFile members;
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
  // Serves once this returns.
  // Errors: kInvalidArgument naming the option, its value and what would do; those of MemoryTier
  // and Listen.
  static Result<std::unique_ptr<Worker>> Start(const WorkerOptions& options);

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
