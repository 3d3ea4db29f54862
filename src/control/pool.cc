#include "control/pool.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/log.h"
#include "client/group_directory.h"
#include "client/walk.h"
#include "core/cached_ratio.h"

namespace forebay {
namespace {

// Files of one question: bounds the memory of a census of millions.
constexpr std::size_t kBatch = 10'000;
constexpr std::uint32_t kUpstreamConcurrency = 64;

// What any client is told of the group, from control's own memory.
class OwnGroup : public GroupDirectory {
 public:
  OwnGroup(const Members& members, const DatasetTable& datasets)
      : members_(members), datasets_(datasets) {}

  Result<GroupAnswer> Ask(const DatasetRef& dataset, Deadline /*deadline*/,
                          std::stop_token /*stop*/) override {
    const DatasetPointer record = datasets_.Find({dataset.name_space, dataset.name});
    if (record == nullptr) return Error(Code::kNotFound, "the dataset was deleted");
    if (members_.map() == nullptr) {
      return Error(Code::kUnavailable, "learning which workers there are");
    }
    // The map is Pool::Current's business: this is asked for every file.
    GroupAnswer answer{.map = {}, .dataset = EntryOf(*record, WithSecrets::kYes)};
    if (answer.dataset->pinned) {
      // Who makes snapshots is told what the store says now.
      answer.dataset->pinned = false;
      answer.dataset->staleness = std::chrono::milliseconds(0);
    }
    return answer;
  }

 private:
  const Members& members_;
  const DatasetTable& datasets_;
};

std::string RootUrl(const DatasetRecord& dataset) {
  return fmt::format("forebay://{}.{}/", dataset.name.name, dataset.name.namespace_name);
}

std::vector<FileToRead> ToRead(const DatasetRecord& dataset, const std::vector<ListedFile>& files,
                               std::size_t begin, std::size_t end) {
  const std::string root = RootUrl(dataset);
  std::vector<FileToRead> batch;
  batch.reserve(end - begin);
  for (std::size_t i = begin; i < end; ++i) {
    batch.push_back({.url = root + files[i].path, .attributes = files[i].attributes});
  }
  return batch;
}

// A snapshot is searched by halves. Pages of a directory that changes may tell a name twice.
void SortNames(std::vector<Entry>& entries) {
  std::ranges::sort(entries, {}, &Entry::name);
  const auto twice = std::ranges::unique(entries, {}, &Entry::name);
  entries.erase(twice.begin(), twice.end());
}

// Adds the files below `directory`, in byte order of their paths' components.
void AddFiles(const SnapshotTree& tree, const std::string& directory, DatasetListing& listing) {
  const auto found = tree.find(directory);
  if (found == tree.end()) return;
  for (const Entry& entry : found->second.entries) {
    const std::string path = directory + entry.name;
    if (entry.attributes.type == FileType::kDirectory) {
      AddFiles(tree, path + '/', listing);
      continue;
    }
    listing.total_bytes += entry.attributes.size;
    listing.files.push_back({path, entry.attributes});
  }
}

}  // namespace

DatasetListing ListingOf(const Snapshot& snapshot, Deadline began) {
  DatasetListing listing;
  listing.began = began;
  AddFiles(snapshot.tree(), "", listing);
  return listing;
}

struct Pool::State {
  std::unique_ptr<Client> client;
};

Pool::Pool(const Members& members, const DatasetTable& datasets,
           std::map<std::string, std::string> environment)
    : members_(members), state_(std::make_unique<State>()) {
  ClientOptions options;
  options.group = std::make_unique<OwnGroup>(members, datasets);
  options.group_at_hand = true;
  options.environment = std::move(environment);
  options.upstream_concurrency_max = kUpstreamConcurrency;
  Result<std::unique_ptr<Client>> client = Client::Create(std::move(options));
  CHECK(client.ok());  // Nothing of the options comes from people.
  state_->client = std::move(client).value();
}

Pool::~Pool() = default;

Client& Pool::Current() {
  const std::shared_ptr<const GroupMap> map = members_.map();
  // Maps of Membership are maps; an older one than the client's own does nothing.
  if (map != nullptr) CHECK(state_->client->Adopt(*map).ok());
  return *state_->client;
}

Result<DatasetListing> Pool::List(const DatasetRecord& dataset, Deadline deadline,
                                  const std::stop_token& stop) {
  DatasetListing listing;
  listing.began = Clock::now();
  const WalkOptions options{.stop = stop};
  const Result<WalkOutcome> walked =
      Walk(Current(), RootUrl(dataset), options, [&](const WalkedEntry& entry) -> Status {
        if (Clock::now() >= deadline) {
          return Error(Code::kDeadlineExceeded, "the listing takes too long");
        }
        listing.total_bytes += entry.attributes.size;
        listing.files.push_back({entry.relative, entry.attributes});
        return {};
      });
  if (!walked.ok()) return walked.error();
  return listing;
}

Result<SnapshotTree> Pool::ListNow(const DatasetRecord& dataset, Deadline deadline,
                                   const std::stop_token& stop) {
  SnapshotTree tree;
  std::vector<std::string> left = {""};
  while (!left.empty()) {
    const std::string path = std::move(left.back());
    left.pop_back();
    SnapshotDirectory& directory = tree[path];
    std::string after;
    do {
      Result<ListPage> page = Current().List(RootUrl(dataset) + path, after, deadline, stop);
      // A directory that was removed meanwhile is empty.
      if (!page.ok() && page.error().code() == Code::kNotFound && !path.empty()) break;
      if (!page.ok()) return std::move(page).error();
      directory.left_out += page.value().left_out;
      for (Entry& entry : page.value().entries) {
        if (entry.attributes.type == FileType::kDirectory) left.push_back(path + entry.name + '/');
        directory.entries.push_back(std::move(entry));
      }
      after = page.value().next;
    } while (!after.empty());
    SortNames(directory.entries);
  }
  return tree;
}

Result<std::vector<std::uint64_t>> Pool::CountHeld(const DatasetRecord& dataset,
                                                   const std::vector<ListedFile>& files,
                                                   bool verify, Deadline deadline,
                                                   const std::stop_token& stop) {
  std::vector<std::uint64_t> bytes;
  bytes.reserve(files.size());
  for (std::size_t begin = 0; begin < files.size(); begin += kBatch) {
    const std::size_t end = std::min(files.size(), begin + kBatch);
    const Result<PoolCensus> census =
        Current().Have(ToRead(dataset, files, begin, end), verify, deadline, stop);
    if (!census.ok()) return census.error();
    for (std::size_t i = begin; i < end; ++i) {
      bytes.push_back(HeldBytes(files[i].attributes.size, dataset.spec.block_bytes,
                                census.value().holders[i - begin]));
    }
  }
  return bytes;
}

Result<std::vector<FillFailure>> Pool::Fill(const DatasetRecord& dataset,
                                            const std::vector<ListedFile>& files,
                                            const PoolFill& fill, const std::stop_token& stop) {
  std::vector<FillFailure> failures;
  std::uint64_t before = 0;
  for (std::size_t begin = 0; begin < files.size(); begin += kBatch) {
    const std::size_t end = std::min(files.size(), begin + kBatch);
    PoolFillOptions options;
    options.replicas = fill.replicas;
    options.bytes_per_second = fill.bytes_per_second_max;
    options.progress = [&](std::uint64_t bytes) { fill.progress(before + bytes); };
    const Result<FillReport> report =
        Current().Fill(ToRead(dataset, files, begin, end), options, stop);
    if (!report.ok()) return report.error();
    before += report.value().bytes;
    for (const FillReport::Failure& failure : report.value().failures) {
      failures.push_back({files[begin + failure.file].path, failure.error.message()});
    }
  }
  return failures;
}

Result<DropReport> Pool::Drop(const DatasetRecord& dataset, const std::vector<std::string>& paths,
                              Deadline deadline, const std::stop_token& stop) {
  return Current().Drop(RootUrl(dataset), paths, deadline, stop);
}

std::size_t Pool::workers() const {
  const std::shared_ptr<const GroupMap> map = members_.map();
  return map == nullptr ? 0 : map->ring.members.size();
}

void Pool::Refresh(Deadline deadline, const std::stop_token& stop) {
  // Who does not answer hears of it with its next heartbeat.
  static_cast<void>(Current().Refresh(deadline, stop).ok());
}

std::vector<std::string> Pool::Metrics(Deadline deadline, const std::stop_token& stop) {
  const Result<std::vector<WorkerText>> answers = Current().Metrics(deadline, stop);
  std::vector<std::string> texts;
  if (!answers.ok()) return texts;
  for (const WorkerText& answer : answers.value()) texts.push_back(answer.text);
  return texts;
}

}  // namespace forebay
