#include <utility>

#include "client/worker_link.h"

namespace forebay {
namespace {

class ChannelLink : public WorkerLink {
 public:
  ChannelLink(Address address, ChannelOptions options)
      : channel_(std::move(address), std::move(options)) {}

  void ConnectAhead() override { channel_.ConnectAhead(); }
  Channel::CallId StartRead(const BlockCall& call,
                            std::shared_ptr<BlockReceiver> receiver) override {
    return channel_.StartRead(call, std::move(receiver));
  }
  void Cancel(Channel::CallId id) override { channel_.Cancel(id); }
  Result<LookupReply> Stat(const Lookup& lookup, Deadline deadline, std::stop_token stop) override {
    return channel_.Stat(lookup, deadline, stop);
  }
  Result<LookupReply> List(const Lookup& lookup, Deadline deadline, std::stop_token stop) override {
    return channel_.List(lookup, deadline, stop);
  }
  Result<std::string> Group(const GroupQuestion& question, Deadline deadline,
                            std::stop_token stop) override {
    return channel_.Group(question, deadline, stop);
  }
  Result<HaveReply> AskHave(const Have& question, bool verify, Deadline deadline,
                            std::stop_token stop) override {
    return channel_.AskHave(question, verify, deadline, stop);
  }
  Result<DropReply> AskDrop(const Drop& question, Deadline deadline,
                            std::stop_token stop) override {
    return channel_.AskDrop(question, deadline, stop);
  }
  Result<std::string> AskMetrics(Deadline deadline, std::stop_token stop) override {
    return channel_.AskMetrics(deadline, stop);
  }
  Status Refresh(Deadline deadline, std::stop_token stop) override {
    return channel_.Refresh(deadline, stop);
  }
  void set_epoch(std::uint64_t epoch) override { channel_.set_epoch(epoch); }
  void Ping() override { channel_.Ping(); }
  Deadline last_heard() const override { return channel_.last_heard(); }

 private:
  Channel channel_;
};

}  // namespace

std::unique_ptr<WorkerLink> MakeChannelLink(Address address, ChannelOptions options) {
  return std::make_unique<ChannelLink>(std::move(address), std::move(options));
}

}  // namespace forebay
