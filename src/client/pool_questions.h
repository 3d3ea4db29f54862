// Questions to all workers of a pool at once: what they hold, to forget it, and their metrics.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/result.h"
#include "client/client.h"
#include "client/stores.h"
#include "client/workers.h"

namespace forebay {

// Workers are asked side by side; of one that does not answer by the deadline only that is said.
//
// Thread safety: safe. Threads: one a worker, at most kAskersMax, while it asks.
class PoolQuestions {
 public:
  static constexpr std::size_t kAskersMax = 64;

  explicit PoolQuestions(Workers& workers) : workers_(workers) {}

  // Which blocks of `files`, all of one store, are held, and by how many workers.
  // Errors: kCancelled.
  Result<PoolCensus> Count(std::span<const std::shared_ptr<const FileVersion>> files, bool verify,
                           Deadline deadline, const std::stop_token& stop) const;

  // Has all workers forget the blocks of `paths`, or with none all of the dataset.
  Result<DropReport> Forget(const StoreRef& store, std::span<const std::string> paths,
                            Deadline deadline, const std::stop_token& stop) const;

  Result<std::vector<WorkerText>> Metrics(Deadline deadline, const std::stop_token& stop) const;

  // Tells all workers that control has something new.
  Result<std::vector<std::string>> Refresh(Deadline deadline, const std::stop_token& stop) const;

 private:
  // `ask` is called with each living worker; its errors make the worker one of those returned.
  using Question = std::function<Status(const WorkerRef& worker, std::stop_token stop)>;
  Result<std::vector<std::string>> AskAll(const Question& ask, const std::stop_token& stop) const;

  Workers& workers_;
};

}  // namespace forebay
