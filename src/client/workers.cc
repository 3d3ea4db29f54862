#include "client/workers.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "cluster/group_json.h"

namespace forebay {
namespace {

constexpr std::size_t kDirectoryHolders = 2;
constexpr std::size_t kSuccessors = 2;

// A worker that is asked for the map answers from memory.
constexpr std::chrono::seconds kFetchTimeout{5};

WorkerRef FindIn(const Roster& roster, const std::string& name, const std::string& address) {
  const std::optional<std::uint32_t> place = roster.placement.ring().Find(name);
  if (!place) return nullptr;
  const WorkerRef& worker = roster.members[*place];
  return worker && worker->address == address ? worker : nullptr;
}

}  // namespace

Status Workers::Adopt(const GroupMap& map) {
  Result<Placement> placement = MakePlacement(map);
  if (!placement.ok()) return placement.error();
  std::map<std::string, std::string> addresses;
  for (const MapMember& member : map.members) addresses[member.name] = member.address;
  auto roster = std::make_shared<Roster>();
  roster->epoch = map.epoch;
  roster->placement = std::move(placement).value();
  const Ring& ring = roster->placement.ring();

  Status outcome;
  std::shared_ptr<const Roster> before;  // Let go of without the lock: that may join threads.
  MutexLock lock(mutex_);
  if (map.epoch <= roster_->epoch) return outcome;
  for (std::uint32_t place = 0; place < ring.size(); ++place) {
    const std::string& address = addresses[ring.name(place)];
    WorkerRef worker = FindIn(*roster_, ring.name(place), address);
    if (!worker) worker = MakeWorker(ring.name(place), address, &outcome);
    if (worker && map.epoch != kFileEpoch) worker->link->set_epoch(map.epoch);
    roster->members.push_back(std::move(worker));
  }
  depths_.resize(next_number_);
  before = std::exchange(roster_, std::move(roster));
  return outcome;
}

WorkerRef Workers::MakeWorker(const std::string& name, const std::string& address,
                              Status* outcome) {
  const std::uint32_t number = next_number_;
  Result<std::unique_ptr<WorkerLink>> link = make_link_(
      address,
      [this, number](std::uint64_t epoch, std::string_view map) { Heard(number, epoch, map); });
  if (!link.ok()) {
    if (outcome->ok()) *outcome = std::move(link).error().Within("member " + name);
    return nullptr;
  }
  ++next_number_;
  return std::make_shared<const KnownWorker>(
      KnownWorker{number, name, address, std::move(link).value()});
}

void Workers::Heard(std::uint32_t worker, std::uint64_t epoch, std::string_view map) {
  MutexLock lock(news_mutex_);
  // Of the same epoch the map itself is worth more than word of it.
  if (news_ && (news_->epoch > epoch || (news_->epoch == epoch && map.empty()))) return;
  news_ = News{epoch, worker, std::string(map)};
  has_news_ = true;
}

void Workers::FollowMaps() {
  if (!has_news_) return;
  std::optional<News> news;
  {
    MutexLock lock(news_mutex_);
    news = std::exchange(news_, std::nullopt);
    has_news_ = false;
  }
  if (!news || news->epoch <= epoch()) return;
  if (!news->map.empty()) return TryAdopt(MapFromJson(news->map));
  Fetch(news->worker, news->epoch);
}

// What cannot be read changes nothing: the map in force was good, and the next answer tells again.
void Workers::TryAdopt(const Result<GroupMap>& map) {
  if (map.ok()) static_cast<void>(Adopt(map.value()).ok());
}

void Workers::Fetch(std::uint32_t number, std::uint64_t epoch) {
  WorkerRef worker;
  for (WorkerRef& living : Living()) {
    if (living->number == number) worker = std::move(living);
  }
  if (!worker) return;
  MutexLock lock(mutex_);
  if (fetching_) return;
  fetching_ = true;
  fetches_.Run("map", [this, worker, epoch](std::stop_token stop) {
    const Result<std::string> answer =
        worker->link->Group(GroupQuestion{}, Clock::now() + kFetchTimeout, stop);
    if (answer.ok()) {
      const Result<GroupAnswer> group = GroupAnswerFromJson(answer.value());
      if (group.ok()) TryAdopt(group.value().map);
    } else {
      Heard(worker->number, epoch, "");  // For the next answer: nobody will say it again.
    }
    MutexLock fetched(mutex_);
    fetching_ = false;
  });
}

std::shared_ptr<const Roster> Workers::roster() const {
  MutexLock lock(mutex_);
  return roster_;
}

std::vector<WorkerRef> Workers::Living() const {
  const std::shared_ptr<const Roster> roster = this->roster();
  std::vector<WorkerRef> living;
  for (std::uint32_t place = 0; place < roster->members.size(); ++place) {
    if (roster->members[place] && !roster->placement.masked(place)) {
      living.push_back(roster->members[place]);
    }
  }
  return living;
}

std::vector<WorkerRef> Workers::Placed(std::uint64_t hash, std::size_t count) const {
  const std::shared_ptr<const Roster> roster = this->roster();
  std::array<std::uint32_t, Ring::kHoldersMax> room{};
  const std::span<std::uint32_t> wanted = std::span(room).first(std::min(count, room.size()));
  std::vector<WorkerRef> workers;
  for (const std::uint32_t place : roster->placement.Holders(hash, wanted)) {
    if (roster->members[place]) workers.push_back(roster->members[place]);
  }
  return workers;
}

std::vector<WorkerRef> Workers::FirstHolders(const BlockKey& block, std::size_t count) const {
  return Placed(block.Hash64(), count);
}

std::vector<WorkerRef> Workers::Holders(const BlockKey& block, std::size_t least) {
  std::size_t count = 1;
  {
    MutexLock lock(mutex_);
    count = counts_.Of(block.file, Clock::now());
  }
  return Placed(block.Hash64(), std::max(count, least));
}

std::vector<WorkerRef> Workers::Successors(const BlockKey& block, std::size_t holders) const {
  std::vector<WorkerRef> workers = Placed(block.Hash64(), holders + kSuccessors);
  workers.erase(workers.begin(),
                workers.begin() + static_cast<std::ptrdiff_t>(std::min(holders, workers.size())));
  return workers;
}

std::vector<WorkerRef> Workers::DirectoryHolders(std::uint64_t directory_hash) const {
  return Placed(directory_hash, kDirectoryHolders);
}

WorkerRef Workers::Ask(std::span<const WorkerRef> workers) {
  const Clock::time_point now = Clock::now();
  std::vector<std::uint32_t> numbers;
  for (const WorkerRef& worker : workers) numbers.push_back(worker->number);
  MutexLock lock(mutex_);
  for (const WorkerRef& worker : workers) {
    chooser_.Heard(worker->number, worker->link->last_heard());
  }
  const std::optional<std::size_t> place = chooser_.Choose(numbers, now);
  if (!place) return nullptr;
  chooser_.Sent(numbers[*place], now);
  return workers[*place];
}

void Workers::Answered(const WorkerRef& worker, const FileKey& file, LoadReport load) {
  {
    MutexLock lock(mutex_);
    depths_[worker->number] = load.queue_depth;
    const Clock::time_point now = Clock::now();
    chooser_.Answered(worker->number, load.queue_depth, now);
    counts_.Told(file, load.holders, now);
  }
  FollowMaps();
}

void Workers::AnsweredOther(const WorkerRef& worker) {
  {
    MutexLock lock(mutex_);
    chooser_.Answered(worker->number, depths_[worker->number], Clock::now());
  }
  FollowMaps();
}

void Workers::Failed(const WorkerRef& worker) {
  MutexLock lock(mutex_);
  chooser_.Failed(worker->number, Clock::now());
}

void Workers::Abandoned(const WorkerRef& worker) {
  MutexLock lock(mutex_);
  chooser_.Abandoned(worker->number);
}

}  // namespace forebay
