// SimStore: the upstream. Files with versions; only the newest of each can be read.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "base/result.h"
#include "base/rng.h"
#include "sim/config.h"
#include "sim/content.h"
#include "sim/scheduler.h"

namespace forebay::sim {

class SimStore {
 public:
  SimStore(const Config& config, Rng& rng, Scheduler& scheduler);

  // Words of `path`, the same in all its versions.
  std::uint32_t FileWords(std::uint32_t path) const { return files_[path].words; }
  std::uint32_t BlockCount(std::uint32_t path) const {
    return (FileWords(path) + kBlockWords - 1) / kBlockWords;
  }
  std::uint32_t BlockWordsAt(const BlockName& name) const;

  void Overwrite(std::uint32_t path);
  std::uint32_t Current(std::uint32_t path) const {
    return static_cast<std::uint32_t>(files_[path].since.size());
  }
  // Whether `version` was the current one at some moment from `from` until now.
  bool CurrentSince(std::uint32_t path, std::uint32_t version, Clock::time_point from) const;

  // Answer later, as events of `node`. kChanged: the version is no longer there; kUnavailable.
  void Stat(NodeId node, std::uint32_t path, std::function<void(Result<std::uint32_t>)> done);
  void Read(NodeId node, const BlockName& name, std::function<void(Result<Words>)> done);

  void Heal() { failing_ = false; }

 private:
  struct File {
    std::uint32_t words = 0;
    std::vector<Clock::time_point> since;  // Of each version, from 1.
  };

  Clock::duration Latency() { return std::chrono::microseconds(200 + rng_.Below(4000)); }
  bool Fails() { return failing_ && rng_.Chance(config_.store_fails, 1000); }

  const Config& config_;
  Rng& rng_;
  Scheduler& scheduler_;
  std::vector<File> files_;
  bool failing_ = true;
};

}  // namespace forebay::sim
