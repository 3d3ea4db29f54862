#include <utility>

#include "client/worker_link.h"

namespace forebay {
namespace {

class ChannelLink : public WorkerLink {
 public:
  ChannelLink(Address address, ChannelOptions options)
      : channel_(std::move(address), std::move(options)) {}

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
