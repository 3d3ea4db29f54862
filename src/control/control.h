// Control: one loop that brings a cache group into the state that was asked for and keeps it there,
// and the API that people, workers and clients talk to.
//
// Invariants: what the API acknowledged is stored; the loop acts on what it sees, never on what it
// remembers having done; workers and readers go on while control is away.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "io/socket.h"

namespace forebay {

struct ControlOptions {
  std::string group = "default";
  std::string state_dir;          // Absolute. Made, for this user alone, if it is not there.
  Address unix_address;           // Of the API: control.sock in the state dir.
  std::optional<Address> listen;  // Of the API over TCP, besides.
  std::string executable;         // Of this program, for workers.
  // What the local worker `name` is started with.
  std::function<std::vector<std::string>(const std::string& name)> worker_arguments;
  // Removes what the local worker `name`, which is gone for good, left in memory and its sockets.
  std::function<Status(const std::string& name)> remove_leftovers;
  std::uint32_t workers = 2;                       // Local ones that shall run.
  std::uint32_t block_bytes_max = 4u << 20;        // What the workers' tiers can take.
  std::string version;                             // Of this program, for status.
  std::map<std::string, std::string> environment;  // Credentials of stores nobody else answers for.
};

// Thread safety: safe. Threads: the loop, the API's (up to 2,048 long polls, one each), and those
// of Inventory, Loads and Client.
class Control {
 public:
  // Takes over what a dead control of the same state dir left: its workers, datasets and loads.
  // Errors: kUnavailable: a living control has the state dir, naming it and what to do, or an
  // address is in use; those of the registry; kDenied.
  static Result<std::unique_ptr<Control>> Start(ControlOptions options);

  // Ends the API and the loop. Local workers go on, as after a crash, unless Drain came first.
  ~Control();

  // Whether every local worker is ready (and, for a group that was there before, was learnt about).
  bool Ready() const;
  std::uint32_t ready_workers() const;

  // Whether somebody asked over the API that the group ends.
  bool ShutdownRequested() const;

  // Stops the local workers in order, those that do not end by `deadline` at once, and removes all
  // that the group has in memory and sockets. What is stored stays.
  void Drain(std::chrono::steady_clock::time_point deadline);

  const std::optional<Address>& listen_address() const;  // With the port that was chosen.

 private:
  struct State;
  explicit Control(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// The same for a group whose control is dead: for `down`. Errors: kUnavailable if one lives.
Status DrainWithoutControl(const ControlOptions& options,
                           std::chrono::steady_clock::time_point deadline);

// Whether `pid` is the control of that state dir, or was the last one.
bool HoldsStateDir(const std::string& state_dir, int pid);

}  // namespace forebay
