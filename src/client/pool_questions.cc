#include "client/pool_questions.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <utility>

#include "base/mutex.h"
#include "base/task_group.h"

namespace forebay {
namespace {

using Files = std::span<const std::shared_ptr<const FileVersion>>;

std::uint32_t BlocksOf(const FileVersion& file) {
  const std::uint64_t block_bytes = file.store->rules.block_bytes;
  return static_cast<std::uint32_t>((file.attributes.size + block_bytes - 1) / block_bytes);
}

// As many of `files` as one frame and its answer hold; at least one.
Files NextBatch(Files files) {
  std::size_t count = 0;
  std::size_t answer = 0;
  while (count < std::min(files.size(), kHaveFilesMax)) {
    answer += HeldBytes(BlocksOf(*files[count]));
    if (count > 0 && answer > kHaveBitBytesMax) break;
    ++count;
  }
  return files.first(count);
}

// Adds what one worker holds of `files`, whose counts begin at `counts`.
void AddHeld(Files files, const HaveReply& held, std::vector<std::uint8_t>* counts) {
  constexpr std::uint32_t kBits = 8;
  std::size_t at = 0;
  for (const auto& file : files) {
    const std::uint32_t blocks = BlocksOf(*file);
    for (std::uint32_t block = 0; block < blocks; ++block) {
      const bool is_held = ((held.bits[at + block / kBits] >> (block % kBits)) & 1u) != 0;
      std::uint8_t& count = (*counts)[block];
      if (is_held && count < std::numeric_limits<std::uint8_t>::max()) ++count;
    }
    at += HeldBytes(blocks);
    ++counts;
  }
}

}  // namespace

Result<std::vector<std::string>> PoolQuestions::AskAll(const Question& ask,
                                                       const std::stop_token& stop) const {
  const std::vector<WorkerRef> workers = workers_.Living();
  std::atomic<std::size_t> next = 0;
  std::vector<char> answered(workers.size(), 0);
  const std::size_t threads = std::min(workers.size(), kAskersMax);
  Mutex mutex;
  CondVar ended;
  std::size_t running = threads;
  {
    TaskGroup askers;
    const std::stop_callback pass_on(stop, [&askers] { askers.RequestStop(); });
    for (std::size_t i = 0; i < threads; ++i) {
      askers.Run("ask", [&](std::stop_token stopped) {
        for (std::size_t at = next++; at < workers.size(); at = next++) {
          answered[at] = ask(workers[at], stopped).ok() ? 1 : 0;
        }
        MutexLock lock(mutex);
        --running;
        ended.NotifyAll();
      });
    }
    MutexLock lock(mutex);
    while (running > 0) ended.Wait(mutex);
  }
  workers_.FollowMaps();
  if (stop.stop_requested()) return Error(Code::kCancelled, "asked to stop");
  std::vector<std::string> silent;
  for (std::size_t i = 0; i < workers.size(); ++i) {
    if (answered[i] == 0) silent.push_back(workers[i]->name);
  }
  return silent;
}

Result<PoolCensus> PoolQuestions::Count(Files files, bool verify, Deadline deadline,
                                        const std::stop_token& stop) const {
  PoolCensus census;
  census.holders.reserve(files.size());
  for (const auto& file : files) census.holders.emplace_back(BlocksOf(*file));
  Mutex mutex;
  auto silent = AskAll(
      [&](const WorkerRef& worker, std::stop_token stopped) -> Status {
        // Counted once the worker has answered all of it: half an answer is none.
        std::vector<std::pair<Files, HaveReply>> replies;
        for (Files rest = files; !rest.empty();) {
          const Files batch = NextBatch(rest);
          Have question{.dataset = batch.front()->key.dataset, .files = {}};
          for (const auto& file : batch) {
            question.files.push_back({file->key.path, file->key.version, BlocksOf(*file)});
          }
          Result<HaveReply> reply = worker->link->AskHave(question, verify, deadline, stopped);
          if (!reply.ok()) return reply.error();
          replies.emplace_back(batch, std::move(reply).value());
          rest = rest.subspan(batch.size());
        }
        MutexLock lock(mutex);
        for (const auto& [batch, reply] : replies) {
          AddHeld(batch, reply, census.holders.data() + (batch.data() - files.data()));
        }
        return {};
      },
      stop);
  if (!silent.ok()) return silent.error();
  census.silent = std::move(silent).value();
  return census;
}

Result<DropReport> PoolQuestions::Forget(const StoreRef& store, std::span<const std::string> paths,
                                         Deadline deadline, const std::stop_token& stop) const {
  std::vector<Drop> questions;
  do {
    const auto part = paths.first(std::min(paths.size(), kDropPathsMax));
    Drop& question = questions.emplace_back();
    question.dataset = store->dataset;
    for (const std::string& path : part) question.paths.push_back(DigestOf(path));
    paths = paths.subspan(part.size());
  } while (!paths.empty());
  DropReport report;
  Mutex mutex;
  auto silent = AskAll(
      [&](const WorkerRef& worker, std::stop_token stopped) -> Status {
        for (const Drop& question : questions) {
          const Result<DropReply> reply = worker->link->AskDrop(question, deadline, stopped);
          if (!reply.ok()) return reply.error();
          MutexLock lock(mutex);
          report.bytes += reply.value().bytes;
        }
        return {};
      },
      stop);
  if (!silent.ok()) return silent.error();
  report.silent = std::move(silent).value();
  return report;
}

Result<std::vector<WorkerText>> PoolQuestions::Metrics(Deadline deadline,
                                                       const std::stop_token& stop) const {
  std::vector<WorkerText> texts;
  Mutex mutex;
  auto silent = AskAll(
      [&](const WorkerRef& worker, std::stop_token stopped) -> Status {
        Result<std::string> reply = worker->link->AskMetrics(deadline, stopped);
        if (!reply.ok()) return reply.error();
        MutexLock lock(mutex);
        texts.push_back(WorkerText{worker->name, std::move(reply).value()});
        return {};
      },
      stop);
  if (!silent.ok()) return silent.error();
  std::ranges::sort(texts, {}, &WorkerText::worker);
  return texts;
}

Result<std::vector<std::string>> PoolQuestions::Refresh(Deadline deadline,
                                                        const std::stop_token& stop) const {
  return AskAll([&](const WorkerRef& worker,
                    std::stop_token stopped) { return worker->link->Refresh(deadline, stopped); },
                stop);
}

}  // namespace forebay
