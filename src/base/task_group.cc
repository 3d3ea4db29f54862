#include "base/task_group.h"

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <utility>

#include "base/check.h"

namespace forebay {

struct TaskGroup::Thread {
  std::string name;
  std::function<void(std::stop_token)> task;
  std::stop_token stop;
  std::atomic<bool> done = false;
  pthread_t handle = 0;

  static void* Main(void* self_pointer) {
    auto* self = static_cast<Thread*>(self_pointer);
    pthread_setname_np(pthread_self(), self->name.substr(0, 15).c_str());
    // A peer that is gone is an error code of the write, also of sendfile(2), which has no flag for
    // it.
    sigset_t broken_pipe;
    CHECK(sigemptyset(&broken_pipe) == 0 && sigaddset(&broken_pipe, SIGPIPE) == 0);
    CHECK(pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr) == 0);
    self->task(self->stop);
    self->task = nullptr;  // What the task captured goes before the thread counts as done.
    self->done = true;
    return nullptr;
  }
};

TaskGroup::TaskGroup(std::size_t stack_bytes) : stack_bytes_(stack_bytes) {}

TaskGroup::~TaskGroup() {
  StopAndJoin();
}

void TaskGroup::Run(std::string name, std::function<void(std::stop_token)> task) {
  MutexLock lock(mutex_);
  std::erase_if(threads_, [](const std::unique_ptr<Thread>& thread) {
    if (!thread->done) return false;
    CHECK(pthread_join(thread->handle, nullptr) == 0);
    return true;
  });
  auto thread = std::make_unique<Thread>();
  thread->name = std::move(name);
  thread->task = std::move(task);
  thread->stop = stop_.get_token();
  pthread_attr_t attributes;
  CHECK(pthread_attr_init(&attributes) == 0);
  CHECK(pthread_attr_setstacksize(&attributes, stack_bytes_) == 0);
  CHECK(pthread_create(&thread->handle, &attributes, Thread::Main, thread.get()) == 0);
  CHECK(pthread_attr_destroy(&attributes) == 0);
  threads_.push_back(std::move(thread));
}

std::size_t TaskGroup::running() const {
  MutexLock lock(mutex_);
  std::size_t count = 0;
  for (const auto& thread : threads_) count += thread->done ? 0U : 1U;
  return count;
}

void TaskGroup::StopAndJoin() {
  stop_.request_stop();
  std::vector<std::unique_ptr<Thread>> threads;
  {
    MutexLock lock(mutex_);
    threads.swap(threads_);
  }
  for (const auto& thread : threads) CHECK(pthread_join(thread->handle, nullptr) == 0);
}

}  // namespace forebay
