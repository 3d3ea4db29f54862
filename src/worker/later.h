// Later: replies that take time to make, made away from the connections' threads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>

#include "base/bounded_queue.h"
#include "base/task_group.h"
#include "rpc/server.h"

namespace forebay {

// Thread safety: safe. Threads: as many as it is given.
class Later {
 public:
  // Makes the reply; may block, within 100 ms of the stop.
  using Make = std::function<std::unique_ptr<Reply>(std::stop_token)>;

  Later(const char* name, std::uint32_t threads, std::size_t queue_max);
  ~Later();

  // A reply that becomes what `make` returns, and wakes `waker` then. If nobody waits for it any
  // more by the time that a thread is free, `make` is not called. Overloaded if too many wait.
  std::unique_ptr<Reply> Begin(Make make, std::shared_ptr<Waker> waker);

 private:
  struct Promise;
  class PromisedReply;

  BoundedQueue<std::shared_ptr<Promise>> queue_;
  TaskGroup threads_;  // Last: joined first.
};

}  // namespace forebay
