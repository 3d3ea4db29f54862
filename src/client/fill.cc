#include "client/fill.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace forebay {
namespace {

// A holder that fails a block this often in a row is not going to hold it.
constexpr int kFailuresMax = 6;
// One that was given up for so many blocks in a row is not asked for the rest.
constexpr int kGivenUpMax = 3;
constexpr std::chrono::milliseconds kPauseMin{20};
constexpr std::chrono::milliseconds kPauseMax{1000};

// Takes no bytes, as none were asked for.
class FillReceiver : public BlockReceiver {
 public:
  explicit FillReceiver(std::function<void(Outcome)> done) : done_(std::move(done)) {}

  std::span<std::byte> Destination(std::uint32_t /*offset*/, std::uint32_t /*length*/) override {
    return {};
  }
  void Received(std::uint32_t /*offset*/, std::uint32_t /*length*/,
                std::span<const std::uint32_t> /*checksums*/) override {}
  void Done(Outcome outcome) override { done_(std::move(outcome)); }

 private:
  const std::function<void(Outcome)> done_;
};

// Whether asking the same holder again may help.
bool MayHelp(Code code) {
  switch (code) {
    case Code::kNotHere:
    case Code::kUnavailable:
    case Code::kOverloaded:
    case Code::kCorrupt:
    case Code::kStale:
    case Code::kDeadlineExceeded:  // Of a fill that somebody else began; our own is checked apart.
    case Code::kCancelled:         // Not by us: the worker is on its way out.
    case Code::kInternal: return true;
    case Code::kNotFound:
    case Code::kInvalidArgument:
    case Code::kChanged:
    case Code::kDenied: return false;
  }
  return false;
}

}  // namespace

FillRun::FillRun(Backends& backends, Lookups& lookups, const PoolFillOptions& options)
    : backends_(backends),
      lookups_(lookups),
      options_(options),
      epoch_(backends.workers.epoch()),
      mailbox_(std::make_shared<Mailbox<Letter>>()) {}

FillRun::~FillRun() {
  for (const auto& [id, asked] : asked_) asked.worker->link->Cancel(asked.call);
}

Result<FillReport> FillRun::Run(std::span<const FileToRead> files, std::stop_token stop) {
  while (!stop.stop_requested()) {
    TakeBlocks(files, stop);
    if (backends_.workers.epoch() != epoch_) PlaceAgain();
    for (auto& [number, holder] : holders_) StartAsking(holder);
    if (asked_.empty() && waiting_ == 0 && next_file_ == files.size() && !open_) {
      FillReport report{.bytes = done_bytes_, .failures = {}};
      for (auto& [place, failure] : failures_) report.failures.push_back(std::move(failure));
      return report;
    }
    for (const Letter& letter : mailbox_->Take(NextCheck(), stop)) Handle(letter);
    CheckTime();
    if (options_.progress) options_.progress(done_bytes_);
  }
  return Error(Code::kCancelled, "asked to stop");
}

void FillRun::TakeBlocks(std::span<const FileToRead> files, std::stop_token stop) {
  while (waiting_ < kWaitingMax && !stop.stop_requested()) {
    if (!open_) {
      if (next_file_ == files.size()) return;
      Open(files[next_file_++], stop);
      continue;
    }
    if (taken_ == open_->attributes.size) {
      open_ = nullptr;
      continue;
    }
    const std::uint32_t block_bytes = open_->store->rules.block_bytes;
    const auto length = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(open_->attributes.size - taken_, block_bytes));
    Place(Block{.place = next_file_ - 1,
                .file = open_,
                .index = static_cast<std::uint32_t>(taken_ / block_bytes),
                .length = length,
                .deadline = {}},
          false);
    taken_ += length;
  }
}

void FillRun::Open(const FileToRead& request, std::stop_token stop) {
  const std::size_t place = next_file_ - 1;
  const auto fail = [&](Error error) {
    failures_.emplace(place, FillReport::Failure{place, {}, std::move(error)});
  };
  const Deadline deadline = Clock::now() + options_.block_timeout;
  Result<forebay::Place> found = backends_.Find(request.url, deadline, stop);
  if (!found.ok()) return fail(found.error());
  Result<Attributes> attributes = request.attributes ? Result<Attributes>(*request.attributes)
                                                     : lookups_.Stat(found.value(), deadline, stop);
  if (!attributes.ok()) return fail(attributes.error());
  if (attributes.value().type == FileType::kDirectory) {
    return fail(Error(Code::kInvalidArgument, "is a directory; name the files in it"));
  }
  open_ = MakeFileVersion(found.value(), std::move(attributes).value());
  taken_ = 0;
}

void FillRun::Place(Block block, bool first) {
  if (hopeless_.contains(block.place)) return GiveUp(block, failures_.at(block.place).error);
  const BlockKey key{block.file->key, block.index};
  const std::vector<WorkerRef> holders = backends_.workers.FirstHolders(key, block.rank + 1);
  if (holders.empty()) return GiveUp(block, Error(Code::kUnavailable, "no worker is there"));
  if (holders.size() <= block.rank) {
    return GiveUp(block, Error(Code::kUnavailable,
                               std::to_string(options_.replicas) + " replicas: only " +
                                   std::to_string(holders.size()) + " workers are there"));
  }
  Holder& holder = holders_[holders.back()->number];
  holder.worker = holders.back();
  if (first) {
    holder.waiting.push_front(std::move(block));
  } else {
    holder.waiting.push_back(std::move(block));
  }
  ++waiting_;
}

void FillRun::PlaceAgain() {
  epoch_ = backends_.workers.epoch();
  std::vector<Block> blocks;
  for (auto& [number, holder] : holders_) {
    holder.given_up = 0;
    for (Block& block : holder.waiting) blocks.push_back(std::move(block));
    holder.waiting.clear();
  }
  waiting_ = 0;
  for (Block& block : blocks) {
    block.failures = 0;
    Place(std::move(block), false);
  }
}

void FillRun::StartAsking(Holder& holder) {
  while (!holder.waiting.empty() && holder.asked < kPerWorkerMax) {
    const Clock::time_point now = Clock::now();
    const bool hopeless = holder.given_up >= kGivenUpMax;
    if (!hopeless && (now < holder.pause_until || now < not_before_)) return;
    Block block = std::move(holder.waiting.front());
    holder.waiting.pop_front();
    --waiting_;
    if (hopeless_.contains(block.place)) {
      GiveUp(block, failures_.at(block.place).error);
    } else if (hopeless) {
      GiveUp(block, Error(Code::kUnavailable, "worker " + holder.worker->name +
                                                  ": failed for other blocks again and again"));
    } else {
      AskFor(holder, std::move(block));
    }
  }
}

void FillRun::AskFor(Holder& holder, Block block) {
  const Clock::time_point now = Clock::now();
  if (block.deadline == Deadline{}) block.deadline = now + options_.block_timeout;
  Asked asked{.block = std::move(block), .worker = holder.worker};
  // Copies are made from worker to worker; it is the store that is spared.
  if (options_.bytes_per_second > 0 && asked.block.rank == 0) {
    asked.cost = std::chrono::nanoseconds(asked.block.length * std::uint64_t{std::nano::den} /
                                          options_.bytes_per_second);
    not_before_ = std::max(not_before_, now) + asked.cost;
  }
  const Block& wanted = asked.block;
  const BlockCall call{.block = ReadBlock{.store = wanted.file->store->url,
                                          .path = wanted.file->path,
                                          .version = wanted.file->attributes.version,
                                          .file_size = wanted.file->attributes.size,
                                          .index = wanted.index,
                                          .offset = 0,
                                          .length = wanted.length,
                                          .block_bytes = wanted.file->store->rules.block_bytes},
                       .fill_only = true,
                       .domain = wanted.file->key.domain,
                       .deadline = wanted.deadline};
  ++holder.asked;
  const std::uint64_t id = next_id_++;
  Asked& kept = asked_.emplace(id, std::move(asked)).first->second;
  kept.call = kept.worker->link->StartRead(
      call,
      std::make_shared<FillReceiver>([mailbox = mailbox_, id](BlockReceiver::Outcome outcome) {
        mailbox->Post(Letter{id, std::move(outcome)});
      }));
}

void FillRun::Handle(const Letter& letter) {
  const auto found = asked_.find(letter.id);
  if (found == asked_.end()) return;
  Asked asked = std::move(found->second);
  asked_.erase(found);
  Holder& holder = holders_.at(asked.worker->number);
  --holder.asked;
  backends_.workers.FollowMaps();
  if (!letter.outcome.status.ok()) {
    return HandleFailure(std::move(asked), letter.outcome.status.error());
  }
  holder.pause = std::chrono::milliseconds(0);
  holder.given_up = 0;
  if (!letter.outcome.waited_for_fill) not_before_ -= asked.cost;  // It was there already.
  Block block = std::move(asked.block);
  if (++block.rank < options_.replicas) {
    block.deadline = {};
    block.failures = 0;
    return Place(std::move(block), true);
  }
  done_bytes_ += block.length;
}

void FillRun::HandleFailure(Asked asked, const Error& error) {
  Block block = std::move(asked.block);
  if (error.code() == Code::kStale && backends_.workers.epoch() != epoch_) {
    return Place(std::move(block), true);  // At once, by the newer map.
  }
  Holder& holder = holders_.at(asked.worker->number);
  // To be full is no failure, however often.
  if (error.code() != Code::kOverloaded) ++block.failures;
  if (!MayHelp(error.code()) || block.failures >= kFailuresMax) {
    if (MayHelp(error.code())) {
      ++holder.given_up;
    } else {
      hopeless_.insert(block.place);
    }
    return GiveUp(block, Error(error).Within("worker " + asked.worker->name));
  }
  const Clock::time_point now = Clock::now();
  if (now >= holder.pause_until) {  // Else it is one of several that failed together.
    holder.pause = std::clamp(2 * holder.pause, kPauseMin, kPauseMax);
    holder.pause_until = now + holder.pause;
  }
  Place(std::move(block), true);
}

void FillRun::GiveUp(const Block& block, Error error) {
  FillReport::Failure& failure =
      failures_.try_emplace(block.place, FillReport::Failure{block.place, {}, std::move(error)})
          .first->second;
  failure.blocks.push_back(block.index);
}

Clock::time_point FillRun::NextCheck() const {
  Clock::time_point next = Clock::time_point::max();
  for (const auto& [id, asked] : asked_) next = std::min(next, asked.block.deadline);
  for (const auto& [number, holder] : holders_) {
    if (holder.waiting.empty() || holder.asked >= kPerWorkerMax) continue;
    next = std::min(next, std::max(holder.pause_until, not_before_));
  }
  return next;
}

void FillRun::CheckTime() {
  const Clock::time_point now = Clock::now();
  const auto late = [now](const Block& block) {
    return block.deadline != Deadline{} && now >= block.deadline;
  };
  const auto give_up = [this](Holder& holder, const Block& block) {
    ++holder.given_up;
    GiveUp(block, Error(Code::kDeadlineExceeded, "worker " + holder.worker->name +
                                                     " did not fill a block within the deadline"));
  };
  for (auto asked = asked_.begin(); asked != asked_.end();) {
    if (!late(asked->second.block)) {
      ++asked;
      continue;
    }
    Holder& holder = holders_.at(asked->second.worker->number);
    asked->second.worker->link->Cancel(asked->second.call);
    --holder.asked;
    give_up(holder, asked->second.block);
    asked = asked_.erase(asked);
  }
  for (auto& [number, holder] : holders_) {
    while (!holder.waiting.empty() && late(holder.waiting.front())) {
      give_up(holder, holder.waiting.front());
      holder.waiting.pop_front();
      --waiting_;
    }
  }
}

}  // namespace forebay
