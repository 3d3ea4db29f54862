// ControlLink: a worker's heartbeats, and the view of the group that control answers with.
//
// A worker goes on with what it knows, for as long as control is away.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/mutex.h"
#include "base/task_group.h"
#include "cluster/group_view.h"
#include "io/http_client.h"

namespace forebay {

// Where control listens.
struct ControlAddress {
  std::string url;        // "http://HOST:PORT".
  std::string unix_path;  // Not empty: there, and the URL's host is only a name.
  std::string text;       // As people write it.
};

// "http://HOST:PORT" or "unix:PATH". Errors: kInvalidArgument, with the value and what would do.
Result<ControlAddress> ParseControlAddress(const std::string& text);

struct ControlLinkOptions {
  ControlAddress control;
  std::string name;
  std::string address;  // Where others reach this worker.
  std::uint32_t weight = 1;
  std::chrono::milliseconds interval{500};
  // One heartbeat, less than a lease.
  std::chrono::milliseconds timeout{1500};
  // Sets what the tier holds and all datasets' figures; the link leaves out what did not change.
  std::function<void(Heartbeat&)> figures;
  // A view is about to be published. Called on the link's thread.
  std::function<void(const std::shared_ptr<const GroupView>&)> on_view;
};

// Thread safety: safe. Threads: one.
class ControlLink : public GroupSource {
 public:
  // Sends nothing before Start. What the callbacks refer to must outlive the link, or its Stop.
  ControlLink(const ControlLinkOptions& options, std::uint64_t instance);
  ~ControlLink() override;

  // Begins to beat, as reachable at `address`.
  void Start(const std::string& address);
  // Waits until control answered. Errors: kDenied: another living process has this name;
  // kCancelled. Obeys `stop` within 100 ms.
  Status AwaitJoined(std::stop_token stop) EXCLUDES(mutex_);
  // Ends the heartbeats; no callback runs any more. Control takes this worker for dead after a
  // lease.
  void Stop() { thread_.StopAndJoin(); }
  // As Stop, with one that says that this worker goes in order: within two timeouts.
  void Leave();

  std::shared_ptr<const GroupView> view() const override EXCLUDES(mutex_);
  std::uint64_t newest_epoch() const override EXCLUDES(mutex_);
  void Heard(std::uint64_t epoch) override EXCLUDES(mutex_);
  void Refresh() override EXCLUDES(mutex_);
  void AwaitNews(Deadline deadline, std::stop_token stop) override EXCLUDES(mutex_);

 private:
  void Run(const std::stop_token& stop) EXCLUDES(mutex_);
  void Beat(const std::stop_token& stop) EXCLUDES(mutex_);
  Heartbeat Compose(bool leaving);
  Result<HeartbeatAnswer> Send(const Heartbeat& heartbeat, const std::stop_token& stop);
  void Apply(HeartbeatAnswer answer) EXCLUDES(mutex_);
  bool Returned(const GroupView& before, const GroupView& now) const;
  void NoteAway(const Error& error);

  const ControlLinkOptions options_;
  const std::string instance_;
  const std::string started_at_;
  HttpClient http_;

  // Of the link's thread, and of Leave after it.
  std::string address_;
  bool send_map_ = false;
  std::map<DatasetUid, DatasetFigures> told_;  // By the newest heartbeat that was answered.
  std::optional<Deadline> away_since_;
  Deadline said_at_;  // When the log was last told.

  mutable Mutex mutex_;
  CondVar changed_;
  std::shared_ptr<const GroupView> view_ GUARDED_BY(mutex_);
  std::uint64_t newest_ GUARDED_BY(mutex_) = 0;
  std::uint64_t begun_ GUARDED_BY(mutex_) = 0;  // Heartbeats.
  std::uint64_t ended_ GUARDED_BY(mutex_) = 0;
  bool asked_ GUARDED_BY(mutex_) = false;  // To beat before the interval is over.
  bool away_ GUARDED_BY(mutex_) = false;   // The newest heartbeat was not answered.
  bool joined_ GUARDED_BY(mutex_) = false;
  std::optional<Error> refused_ GUARDED_BY(mutex_);
  TaskGroup thread_;  // Last: joined first.
};

}  // namespace forebay
