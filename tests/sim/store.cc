#include "sim/store.h"

#include <algorithm>

namespace forebay::sim {

SimStore::SimStore(const Config& config, Rng& rng, Scheduler& scheduler)
    : config_(config), rng_(rng), scheduler_(scheduler) {
  for (std::uint32_t path = 0; path < config.files; ++path) {
    // Many files are shorter than a block, and last blocks are of any length.
    const std::uint64_t most = rng.Chance(1, 2) ? kBlockWords : config.blocks_max * kBlockWords;
    files_.push_back({1 + static_cast<std::uint32_t>(rng.Below(most)), {scheduler.now()}});
  }
}

std::uint32_t SimStore::BlockWordsAt(const BlockName& name) const {
  return std::min(kBlockWords, FileWords(name.path) - name.index * kBlockWords);
}

void SimStore::Overwrite(std::uint32_t path) {
  files_[path].since.push_back(scheduler_.now());
}

bool SimStore::CurrentSince(std::uint32_t path, std::uint32_t version,
                            Clock::time_point from) const {
  const std::vector<Clock::time_point>& since = files_[path].since;
  if (version == 0 || version > since.size()) return false;
  return version == since.size() || since[version] >= from;
}

void SimStore::Stat(NodeId node, std::uint32_t path,
                    std::function<void(Result<std::uint32_t>)> done) {
  // The store looks at some moment between request and answer.
  const std::uint32_t asker = scheduler_.incarnation(node);
  scheduler_.After(Latency(), kWorld, [this, node, asker, path, done = std::move(done)] {
    if (scheduler_.incarnation(node) != asker) return;
    Result<std::uint32_t> result = Current(path);
    if (Fails()) result = Error(Code::kUnavailable, "503");
    scheduler_.After(Latency(), node, [done, result] { done(result); });
  });
}

void SimStore::Read(NodeId node, const BlockName& name, std::function<void(Result<Words>)> done) {
  const std::uint32_t asker = scheduler_.incarnation(node);
  scheduler_.After(Latency(), kWorld, [this, node, asker, name, done = std::move(done)] {
    if (scheduler_.incarnation(node) != asker) return;
    Result<Words> result = ContentOf(name, BlockWordsAt(name));
    if (Current(name.path) != name.version) result = Error(Code::kChanged, "If-Match failed");
    if (Fails()) result = Error(Code::kUnavailable, "503");
    scheduler_.After(Latency(), node, [done, result] { done(result); });
  });
}

}  // namespace forebay::sim
