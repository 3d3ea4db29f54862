#include "mount/backings.h"

#include <set>
#include <utility>

#include "base/log.h"

namespace forebay {

Backings::Backings(std::shared_ptr<KernelChannel> channel, Nodes& nodes, NodeTable& table)
    : channel_(std::move(channel)), table_(table) {
  if (!channel_) return;
  std::set<std::int32_t> known;
  nodes.Visit([&](KnownNode& node) NO_THREAD_SAFETY_ANALYSIS {
    NodeOpens& opens = node.opens;
    if (opens.backing < 0) {
      // It was being closed. Numbers are not given out again, so once more does no harm.
      channel_->CloseBacking(-opens.backing);
      opens.backing = kNone;
      *opens.recorded = kNone;
    }
    if (opens.backing > 0) known.insert(opens.backing);
  });
  // Numbers are given in order, and each is noted before the next one is asked for: at most one is
  // not, if whoever asked for it died between.
  const std::int32_t next = table.last_backing() + 1;
  if (!known.contains(next)) channel_->CloseBacking(next);
}

bool Backings::may_pass_through() const {
  MutexLock lock(mutex_);
  return channel_ != nullptr && !is_refused_;
}

std::int32_t Backings::Open(KnownNode& node, int whole) {
  NodeOpens& opens = node.opens;
  MutexLock lock(mutex_);
  // Of an adopted node nobody knows how many handles are open: it stays as it is.
  if (opens.is_adopted) return opens.backing;
  if (opens.backing == kNone && opens.buffered == 0 && whole >= 0 && channel_ && !is_refused_) {
    const Result<std::int32_t> number = channel_->OpenBacking(whole);
    if (number.ok()) {
      opens.backing = number.value();
      *opens.recorded = number.value();
      table_.set_last_backing(number.value());
    } else {
      Log(Level::kWarning, "the kernel passes no reads through; they are served",
          {{"error", number.error().message()}});
      is_refused_ = true;
    }
  }
  if (opens.backing == kNone) {
    ++opens.buffered;
  } else {
    ++opens.passed_through;
  }
  return opens.backing;
}

void Backings::Close(NodeOpens& opens) {
  if (opens.backing <= 0) return;
  *opens.recorded = -opens.backing;  // Whoever finds this closes it again.
  if (channel_) channel_->CloseBacking(opens.backing);
  *opens.recorded = kNone;
  opens.backing = kNone;
}

void Backings::Release(KnownNode& node, std::int32_t backing) {
  NodeOpens& opens = node.opens;
  MutexLock lock(mutex_);
  if (opens.is_adopted || opens.is_forgotten) return;
  if (backing == kNone) {
    --opens.buffered;
  } else if (--opens.passed_through == 0) {
    Close(opens);
  }
}

void Backings::Forget(KnownNode& node) {
  MutexLock lock(mutex_);
  Close(node.opens);
  node.opens.is_forgotten = true;
}

}  // namespace forebay
