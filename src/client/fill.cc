#include "client/fill.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace forebay {
namespace {

// A home that fails a block this often in a row is not going to hold it.
constexpr int kFailuresMax = 6;
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

// Whether asking the same home again may help.
bool MayHelp(Code code) {
  switch (code) {
    case Code::kNotHere:
    case Code::kUnavailable:
    case Code::kOverloaded:
    case Code::kCorrupt:
    case Code::kStale:
    case Code::kDeadlineExceeded:  // Of a fill that somebody else began; our own is checked apart.
    case Code::kInternal: return true;
    case Code::kNotFound:
    case Code::kInvalidArgument:
    case Code::kChanged:
    case Code::kDenied:
    case Code::kCancelled: return false;
  }
  return false;
}

}  // namespace

FillRun::FillRun(Backends& backends, Lookups& lookups, std::chrono::milliseconds block_timeout)
    : backends_(backends),
      lookups_(lookups),
      block_timeout_(block_timeout),
      homes_(backends.workers.size()),
      mailbox_(std::make_shared<Mailbox<Letter>>()) {}

FillRun::~FillRun() {
  for (const auto& [id, asked] : asked_) {
    backends_.workers.link(asked.member).Cancel(asked.call);
  }
}

Result<std::uint64_t> FillRun::Run(std::span<const FileToRead> files,
                                   const std::function<void(std::uint64_t)>& progress,
                                   std::stop_token stop) {
  if (homes_.empty()) {
    return Error(Code::kInvalidArgument, "no workers to fill; name some in a members file");
  }
  while (!stop.stop_requested()) {
    if (Status taken = TakeBlocks(files, stop); !taken.ok()) return taken.error();
    for (MemberIndex member = 0; member < homes_.size(); ++member) StartAsking(member);
    if (asked_.empty() && waiting_ == 0) return done_bytes_;
    for (Letter& letter : mailbox_->Take(NextCheck(), stop)) {
      if (Status handled = Handle(std::move(letter)); !handled.ok()) return handled.error();
    }
    if (Status checked = CheckTime(); !checked.ok()) return checked.error();
    progress(done_bytes_);
  }
  return Error(Code::kCancelled, "asked to stop");
}

Status FillRun::TakeBlocks(std::span<const FileToRead> files, std::stop_token stop) {
  while (waiting_ < kWaitingMax) {
    if (!open_ || taken_ == open_->attributes.size) {
      if (next_file_ == files.size()) return {};
      if (Status opened = Open(files[next_file_++], stop); !opened.ok()) return opened;
      continue;
    }
    const std::uint32_t block_bytes = backends_.limits.block_bytes;
    const BlockKey key{open_->key, static_cast<std::uint32_t>(taken_ / block_bytes)};
    const auto length = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(open_->attributes.size - taken_, block_bytes));
    homes_[backends_.workers.Home(key)].waiting.push_back(
        Block{.file = open_, .index = key.index, .length = length, .deadline = {}});
    ++waiting_;
    taken_ += length;
  }
  return {};
}

Status FillRun::Open(const FileToRead& request, std::stop_token stop) {
  Result<Place> place = backends_.stores.Find(request.url);
  if (!place.ok()) return place.error();
  Attributes attributes;
  if (request.attributes) {
    attributes = *request.attributes;
  } else {
    Result<Attributes> found = lookups_.Stat(place.value(), backends_.limits.staleness,
                                             Clock::now() + block_timeout_, stop);
    if (!found.ok()) return std::move(found).error().Within(request.url);
    attributes = std::move(found).value();
  }
  if (attributes.type == FileType::kDirectory) {
    return Error(Code::kInvalidArgument, request.url + ": is a directory; name the files in it");
  }
  open_ = MakeFileVersion(place.value(), std::move(attributes));
  taken_ = 0;
  return {};
}

void FillRun::StartAsking(MemberIndex member) {
  Home& home = homes_[member];
  while (!home.waiting.empty() && home.asked < kPerWorkerMax && Clock::now() >= home.pause_until) {
    Block block = std::move(home.waiting.front());
    home.waiting.pop_front();
    --waiting_;
    ++home.asked;
    if (block.deadline == Deadline{}) block.deadline = Clock::now() + block_timeout_;
    const BlockCall call{.block = ReadBlock{.store = block.file->store->url,
                                            .path = block.file->path,
                                            .version = block.file->attributes.version,
                                            .file_size = block.file->attributes.size,
                                            .index = block.index,
                                            .offset = 0,
                                            .length = block.length},
                         .fill_only = true,
                         .domain = block.file->key.domain,
                         .deadline = block.deadline};
    const std::uint64_t id = next_id_++;
    Asked& asked = asked_.emplace(id, Asked{std::move(block), member, 0}).first->second;
    asked.call = backends_.workers.link(member).StartRead(
        call,
        std::make_shared<FillReceiver>([mailbox = mailbox_, id](BlockReceiver::Outcome outcome) {
          mailbox->Post(Letter{id, std::move(outcome)});
        }));
  }
}

Status FillRun::Handle(const Letter& letter) {
  const auto found = asked_.find(letter.id);
  if (found == asked_.end()) return {};
  Asked asked = std::move(found->second);
  asked_.erase(found);
  Home& home = homes_[asked.member];
  --home.asked;
  if (!letter.outcome.status.ok()) {
    return HandleFailure(std::move(asked), letter.outcome.status.error());
  }
  home.pause = std::chrono::milliseconds(0);
  done_bytes_ += asked.block.length;
  return {};
}

Status FillRun::HandleFailure(Asked asked, const Error& error) {
  // To be full is no failure, however often.
  if (error.code() != Code::kOverloaded) ++asked.block.failures;
  if (!MayHelp(error.code()) || asked.block.failures >= kFailuresMax) {
    return Error(error).Within(asked.block.file->path + ": worker " +
                               backends_.workers.name(asked.member));
  }
  Home& home = homes_[asked.member];
  const Clock::time_point now = Clock::now();
  if (now >= home.pause_until) {  // Else it is one of several that failed together.
    home.pause = std::clamp(2 * home.pause, kPauseMin, kPauseMax);
    home.pause_until = now + home.pause;
  }
  home.waiting.push_front(std::move(asked.block));
  ++waiting_;
  return {};
}

Clock::time_point FillRun::NextCheck() const {
  Clock::time_point next = Clock::time_point::max();
  for (const auto& [id, asked] : asked_) next = std::min(next, asked.block.deadline);
  for (const Home& home : homes_) {
    if (!home.waiting.empty() && home.asked < kPerWorkerMax)
      next = std::min(next, home.pause_until);
  }
  return next;
}

Status FillRun::CheckTime() {
  const Clock::time_point now = Clock::now();
  const auto late = [&](const Block& block, MemberIndex member) -> Status {
    if (block.deadline == Deadline{} || now < block.deadline) return {};
    return Error(Code::kDeadlineExceeded, block.file->path + ": worker " +
                                              backends_.workers.name(member) +
                                              " did not fill a block within the deadline");
  };
  for (const auto& [id, asked] : asked_) {
    if (Status status = late(asked.block, asked.member); !status.ok()) return status;
  }
  for (MemberIndex member = 0; member < homes_.size(); ++member) {
    if (homes_[member].waiting.empty()) continue;
    if (Status status = late(homes_[member].waiting.front(), member); !status.ok()) return status;
  }
  return {};
}

}  // namespace forebay
