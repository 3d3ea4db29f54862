#include "worker/later.h"

#include <utility>

#include "base/mutex.h"

namespace forebay {

struct Later::Promise {
  Make make;
  std::shared_ptr<Waker> waker;

  Mutex mutex;
  std::unique_ptr<Reply> reply GUARDED_BY(mutex);
  bool unwanted GUARDED_BY(mutex) = false;
};

class Later::PromisedReply : public Reply {
 public:
  explicit PromisedReply(std::shared_ptr<Promise> promise) : promise_(std::move(promise)) {}
  ~PromisedReply() override {
    MutexLock lock(promise_->mutex);
    promise_->unwanted = true;
  }

  bool Ready() override { return Arrived() && reply_->Ready(); }
  bool NeedsLink() const override { return reply_ && reply_->NeedsLink(); }
  std::optional<ReplyFrame> Next() override { return reply_->Next(); }

 private:
  bool Arrived() {
    if (reply_) return true;
    MutexLock lock(promise_->mutex);
    reply_ = std::move(promise_->reply);
    return reply_ != nullptr;
  }

  const std::shared_ptr<Promise> promise_;
  std::unique_ptr<Reply> reply_;  // Of the connection's thread, once it has arrived.
};

Later::Later(const char* name, std::uint32_t threads, std::size_t queue_max) : queue_(queue_max) {
  for (std::uint32_t i = 0; i < threads; ++i) {
    threads_.Run(name, [this](std::stop_token stop) {
      while (const std::optional<std::shared_ptr<Promise>> popped = queue_.Pop()) {
        Promise& promise = **popped;
        {
          MutexLock lock(promise.mutex);
          if (promise.unwanted || stop.stop_requested()) continue;
        }
        std::unique_ptr<Reply> reply = promise.make(stop);
        {
          MutexLock lock(promise.mutex);
          promise.reply = std::move(reply);
        }
        promise.waker->Wake();
      }
    });
  }
}

Later::~Later() {
  threads_.RequestStop();
  queue_.Close();
  threads_.StopAndJoin();
}

std::unique_ptr<Reply> Later::Begin(Make make, std::shared_ptr<Waker> waker) {
  auto promise = std::make_shared<Promise>();
  promise->make = std::move(make);
  promise->waker = std::move(waker);
  if (!queue_.TryPush(promise)) {
    return std::make_unique<ReadyReply>(
        ErrorFrame(Error(Code::kOverloaded, "too many questions wait for this worker")));
  }
  return std::make_unique<PromisedReply>(std::move(promise));
}

}  // namespace forebay
