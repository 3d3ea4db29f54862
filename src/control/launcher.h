// Launcher: starts and stops the workers that a group wants. Here as processes of this host; where
// a cluster does that, another engine of the same interface.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/mutex.h"
#include "base/result.h"
#include "io/unique_fd.h"

namespace forebay {

// A worker's process as it is now.
struct LaunchedProcess {
  std::string name;
  int pid = 0;
  bool running = false;
  // How it ended, and the last line of its log: "exited with status 1; last: worker: ...".
  std::string ending;
};

// Thread safety: safe.
class Launcher {
 public:
  virtual ~Launcher() = default;
  // All workers that were started (by whatever control) and not forgotten, by name.
  virtual std::vector<LaunchedProcess> Observe() = 0;
  // Starts the worker `name`, which must not run. Errors: kUnavailable, kDenied.
  virtual Status Start(const std::string& name) = 0;
  // Asks it to end in order; it goes on running until it has.
  virtual void Stop(const std::string& name) = 0;
  virtual void Kill(const std::string& name) = 0;
  // Removes what is known of a worker that does not run any more.
  virtual void Forget(const std::string& name) = 0;
};

struct ProcessLauncherOptions {
  std::string executable;  // Of this program.
  std::string directory;   // For records (NAME.json) and logs (NAME.log); made by the launcher.
  // What the worker `name` is started with, without the program's name.
  std::function<std::vector<std::string>(const std::string& name)> arguments;
  std::map<std::string, std::string> environment = {};  // Of the workers.
};

// Workers are processes in sessions of their own, so they outlive whoever started them: a record
// holds pid and start time, which together name a process for ever, and a later launcher adopts
// what its records prove. Processes are held by pidfd, so no signal reaches a stranger.
class ProcessLauncher : public Launcher {
 public:
  // Adopts what runs. Errors: kDenied, kUnavailable: the directory cannot be made or read.
  static Result<std::unique_ptr<ProcessLauncher>> Create(ProcessLauncherOptions options);

  std::vector<LaunchedProcess> Observe() override EXCLUDES(mutex_);
  Status Start(const std::string& name) override EXCLUDES(mutex_);
  void Stop(const std::string& name) override EXCLUDES(mutex_);
  void Kill(const std::string& name) override EXCLUDES(mutex_);
  void Forget(const std::string& name) override EXCLUDES(mutex_);

 private:
  struct Process {
    int pid = 0;
    bool child = false;  // Else adopted: its status is not ours to have.
    UniqueFd pidfd;      // Unset: it has ended.
    std::string ending;
  };

  explicit ProcessLauncher(ProcessLauncherOptions options) : options_(std::move(options)) {}
  Status Adopt() EXCLUDES(mutex_);
  void LookAt(Process& process, const std::string& log) REQUIRES(mutex_);
  void Signal(const std::string& name, int signal) EXCLUDES(mutex_);
  std::string RecordOf(const std::string& name) const;
  std::string LogOf(const std::string& name) const;

  const ProcessLauncherOptions options_;
  Mutex mutex_;
  std::map<std::string, Process> processes_ GUARDED_BY(mutex_);
};

}  // namespace forebay
