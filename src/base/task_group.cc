#include "base/task_group.h"

#include <pthread.h>
#include <signal.h>

#include <iterator>
#include <utility>

#include "base/check.h"

namespace forebay {

// All but the constant fields are guarded by the group's mutex.
struct TaskGroup::Thread {
  TaskGroup& group;
  pthread_t handle = 0;
  std::string name;
  std::function<void(std::stop_token)> task;  // The next; empty once it is taken.
  CondVar changed;
  Threads::iterator place;
};

TaskGroup::TaskGroup(TaskGroupOptions options) : options_(options) {}

TaskGroup::~TaskGroup() {
  StopAndJoin();
}

void TaskGroup::Run(std::string name, std::function<void(std::stop_token)> task) {
  Threads ended;
  {
    MutexLock lock(mutex_);
    ended.swap(ended_);
    ++running_;
    if (idle_.empty()) StartThread();
    Thread& thread = *idle_.back();  // Whose stack is most likely to be in a cache.
    idle_.pop_back();
    thread.name = std::move(name);
    thread.task = std::move(task);
    thread.changed.NotifyOne();
  }
  Join(ended);
}

// An idle one. It looks for its task when the lock is free.
void TaskGroup::StartThread() {
  Thread& thread = threads_.emplace_back(*this);
  thread.place = std::prev(threads_.end());
  pthread_attr_t attributes;
  CHECK(pthread_attr_init(&attributes) == 0);
  CHECK(pthread_attr_setstacksize(&attributes, options_.stack_bytes) == 0);
  CHECK(pthread_create(&thread.handle, &attributes, Main, &thread) == 0);
  CHECK(pthread_attr_destroy(&attributes) == 0);
  idle_.push_back(&thread);
}

void* TaskGroup::Main(void* self_pointer) {
  auto* self = static_cast<Thread*>(self_pointer);
  // A peer that is gone is an error code of the write, also of sendfile(2), which has no flag for
  // it.
  sigset_t broken_pipe;
  CHECK(sigemptyset(&broken_pipe) == 0 && sigaddset(&broken_pipe, SIGPIPE) == 0);
  CHECK(pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr) == 0);
  self->group.Work(*self);
  return nullptr;
}

void TaskGroup::Work(Thread& self) {
  std::string shown;
  while (true) {
    std::function<void(std::stop_token)> task;
    {
      MutexLock lock(mutex_);
      task = std::exchange(self.task, nullptr);
      if (self.name != shown) {
        shown = self.name;
        pthread_setname_np(pthread_self(), shown.substr(0, 15).c_str());
      }
    }
    task(stop_.get_token());
    task = nullptr;  // What the task captured goes before it counts as done.
    MutexLock lock(mutex_);
    --running_;
    if (AwaitTask(self)) continue;
    ended_.splice(ended_.end(), threads_, self.place);
    left_.NotifyAll();
    return;
  }
}

// Whether there is another one for this thread.
bool TaskGroup::AwaitTask(Thread& self) {
  if (options_.kept_for.count() == 0) return false;
  const Deadline until = Clock::now() + options_.kept_for;
  idle_.push_back(&self);
  while (!self.task && !stop_.stop_requested() && !Passed(until)) {
    self.changed.WaitUntil(mutex_, until);
  }
  if (self.task) return true;
  std::erase(idle_, &self);
  return false;
}

std::size_t TaskGroup::running() const {
  MutexLock lock(mutex_);
  return running_;
}

void TaskGroup::StopAndJoin() {
  stop_.request_stop();
  Threads ended;
  {
    MutexLock lock(mutex_);
    for (Thread* thread : idle_) thread->changed.NotifyOne();
    while (!threads_.empty()) left_.Wait(mutex_);
    ended.swap(ended_);
  }
  Join(ended);
}

void TaskGroup::Join(const Threads& ended) {
  for (const Thread& thread : ended) CHECK(pthread_join(thread.handle, nullptr) == 0);
}

}  // namespace forebay
