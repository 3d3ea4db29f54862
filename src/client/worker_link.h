// WorkerLink: a worker, as the client sees it. The seam at which tests put workers that fail.
#pragma once

#include <memory>
#include <string>

#include "base/deadline.h"
#include "base/result.h"
#include "rpc/channel.h"

namespace forebay {

// The methods keep the promises of Channel's methods of the same names.
//
// Thread safety: safe.
class WorkerLink {
 public:
  virtual ~WorkerLink() = default;

  virtual void ConnectAhead() = 0;
  virtual Channel::CallId StartRead(const BlockCall& call,
                                    std::shared_ptr<BlockReceiver> receiver) = 0;
  virtual void Cancel(Channel::CallId id) = 0;
  virtual Result<LookupReply> Stat(const Lookup& lookup, Deadline deadline,
                                   std::stop_token stop) = 0;
  virtual Result<LookupReply> List(const Lookup& lookup, Deadline deadline,
                                   std::stop_token stop) = 0;
  virtual void Ping() = 0;
  virtual Deadline last_heard() const = 0;
  virtual Result<std::string> Group(const GroupQuestion& question, Deadline deadline,
                                    std::stop_token stop) = 0;
  virtual Result<HaveReply> AskHave(const Have& question, bool verify, Deadline deadline,
                                    std::stop_token stop) = 0;
  virtual Result<DropReply> AskDrop(const Drop& question, Deadline deadline,
                                    std::stop_token stop) = 0;
  virtual Result<std::string> AskMetrics(Deadline deadline, std::stop_token stop) = 0;
  virtual Status Refresh(Deadline deadline, std::stop_token stop) = 0;
  virtual void set_epoch(std::uint64_t epoch) = 0;
};

// The link to a real worker. Touches no network before the first call.
std::unique_ptr<WorkerLink> MakeChannelLink(Address address, ChannelOptions options);

}  // namespace forebay
