#include "client/range_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/crc32c.h"

namespace forebay {

RangeReader::RangeReader(Backends& backends, std::shared_ptr<const FileVersion> version,
                         std::uint64_t ahead_bytes_max)
    : version_(std::move(version)),
      ahead_bytes_max_(ahead_bytes_max),
      policy_(version_->attributes.size, version_->store->rules.block_bytes, ahead_bytes_max),
      pool_(ahead_bytes_max),
      reads_(backends) {}

Result<std::size_t> RangeReader::Read(std::uint64_t offset, std::span<std::byte> buffer,
                                      Deadline deadline, std::stop_token stop) {
  const std::uint64_t size = version_->attributes.size;
  if (offset >= size || buffer.empty()) return std::size_t{0};
  buffer = buffer.first(std::min<std::uint64_t>(buffer.size(), size - offset));

  const bool in_order = ahead_bytes_max_ > 0 && offset == last_end_;
  last_end_ = offset + buffer.size();
  // Whoever jumps to where nothing was read ahead has left for good.
  const bool left = !in_order && Covering(offset) == runs_.end();
  DropRunsUntil(left ? size : offset);
  if (left) to_fetch_ = {};
  if (const ByteRange more = policy_.Read(offset, buffer.size()); more.length > 0) {
    const bool goes_on = to_fetch_.offset + to_fetch_.length == more.offset;
    to_fetch_ = goes_on ? ByteRange{to_fetch_.offset, to_fetch_.length + more.length} : more;
  }

  Status read = ReadAll(offset, buffer, in_order, deadline, stop);
  for (const BlockReads::Id id : direct_) reads_.Cancel(id);  // Only after an error.
  direct_.clear();
  if (!read.ok()) return std::move(read).error();
  DropRunsUntil(last_end_);
  if (in_order) StartAhead(deadline);
  return buffer.size();
}

Status RangeReader::ReadAll(std::uint64_t offset, std::span<std::byte> buffer, bool in_order,
                            Deadline deadline, const std::stop_token& stop) {
  const std::uint64_t end = offset + buffer.size();
  std::vector<Copy> copies;
  for (std::uint64_t at = offset; at < end;) {
    const auto run = Covering(at);
    const std::uint64_t part_end = std::min(end, run == runs_.end() ? GapEnd(at) : run->second.end);
    const std::span<std::byte> part = buffer.subspan(at - offset, part_end - at);
    if (run != runs_.end()) {
      copies.push_back(Copy{at, part});
      at = part_end;
      continue;
    }
    const std::uint64_t granule_end =
        std::min((part_end + kGranuleBytes - 1) / kGranuleBytes * kGranuleBytes, GapEnd(at));
    if (in_order && part_end == end && granule_end > end) {
      // The granule comes whole anyway; the next read will want its rest.
      StartRun(at, granule_end, deadline);
      continue;
    }
    while (!direct_.empty() && !reads_.MayStart(part.size())) {
      if (Status waited = WaitForOne(deadline, stop); !waited.ok()) return waited;
    }
    StartDirect(at, part, deadline);
    at = part_end;
  }
  if (in_order) StartAhead(deadline);
  for (const Copy& copy : copies) {
    if (Status copied = CopyFromRuns(copy, deadline, stop); !copied.ok()) return copied;
  }
  return FinishDirect(deadline, stop);
}

RangeReader::Runs::iterator RangeReader::Covering(std::uint64_t offset) {
  auto run = runs_.upper_bound(offset);
  if (run == runs_.begin()) return runs_.end();
  --run;
  return run->second.end > offset ? run : runs_.end();
}

std::uint64_t RangeReader::GapEnd(std::uint64_t offset) const {
  const std::uint64_t block_bytes = version_->store->rules.block_bytes;
  const std::uint64_t block_end = (offset / block_bytes + 1) * block_bytes;
  const std::uint64_t end = std::min(block_end, version_->attributes.size);
  const auto next = runs_.upper_bound(offset);
  return next == runs_.end() ? end : std::min(end, next->first);
}

void RangeReader::StartRun(std::uint64_t begin, std::uint64_t end, Deadline deadline) {
  Run& run = runs_[begin];
  run.end = end;
  run.buffer = pool_.Get(end - begin);
  run_bytes_ += run.buffer.capacity;
  run.id = reads_.Start(BlockWant{.file = version_,
                                  .offset = begin,
                                  .destination = {run.buffer.memory.get(), end - begin},
                                  .deadline = deadline});
}

void RangeReader::StartDirect(std::uint64_t offset, std::span<std::byte> destination,
                              Deadline deadline) {
  direct_.insert(reads_.Start(BlockWant{
      .file = version_, .offset = offset, .destination = destination, .deadline = deadline}));
}

// Starts what the policy wants and there is room for: first the rest of the block that is being
// read.
void RangeReader::StartAhead(Deadline deadline) {
  const auto start = [&](std::uint64_t begin) {
    const std::uint64_t end = GapEnd(begin);
    if (run_bytes_ + (end - begin) > ahead_bytes_max_ || !reads_.MayStart(end - begin)) {
      return begin;
    }
    StartRun(begin, end, deadline);
    return end;
  };
  const std::uint64_t block_bytes = version_->store->rules.block_bytes;
  const std::uint64_t block_end = std::min(
      (last_end_ + block_bytes - 1) / block_bytes * block_bytes, version_->attributes.size);
  for (std::uint64_t at = last_end_; at < block_end;) {
    const auto run = Covering(at);
    const std::uint64_t next = run == runs_.end() ? start(at) : run->second.end;
    if (next == at) return;
    at = next;
  }
  while (to_fetch_.length > 0) {
    const auto run = Covering(to_fetch_.offset);
    const std::uint64_t next = run == runs_.end() ? start(to_fetch_.offset) : run->second.end;
    const std::uint64_t taken = std::min(next - to_fetch_.offset, to_fetch_.length);
    if (taken == 0) return;
    to_fetch_ = ByteRange{to_fetch_.offset + taken, to_fetch_.length - taken};
  }
}

void RangeReader::Drop(Runs::iterator run) {
  if (!run->second.arrived) reads_.Cancel(run->second.id);
  run_bytes_ -= run->second.buffer.capacity;
  pool_.Put(std::move(run->second.buffer));
  runs_.erase(run);
}

void RangeReader::DropRunsUntil(std::uint64_t end) {
  while (!runs_.empty() && runs_.begin()->second.end <= end) Drop(runs_.begin());
}

Status RangeReader::CopyFromRuns(Copy copy, Deadline deadline, const std::stop_token& stop) {
  auto run = Covering(copy.offset);
  while (run != runs_.end() && !run->second.arrived) {
    if (Status waited = WaitForOne(deadline, stop); !waited.ok()) return waited;
    run = Covering(copy.offset);
  }
  if (run == runs_.end()) {
    // Reading ahead has failed; now it is asked for in earnest, and the error is its own.
    StartDirect(copy.offset, copy.destination, deadline);
    return {};
  }
  std::memcpy(copy.destination.data(), run->second.buffer.memory.get() + (copy.offset - run->first),
              copy.destination.size());
  return {};
}

Status RangeReader::WaitForOne(Deadline deadline, const std::stop_token& stop) {
  std::optional<BlockReads::Ended> ended = reads_.Next(deadline, stop);
  if (!ended) {
    if (stop.stop_requested()) return Error(Code::kCancelled, "asked to stop");
    return Error(Code::kDeadlineExceeded, "no answer within the deadline");
  }
  if (direct_.erase(ended->id) > 0) return std::move(ended->status);
  const auto run = std::find_if(runs_.begin(), runs_.end(), [&ended](const auto& candidate) {
    return candidate.second.id == ended->id;
  });
  CHECK(run != runs_.end());
  run->second.arrived = true;
  if (!ended->status.ok()) Drop(run);
  return {};
}

Status RangeReader::FinishDirect(Deadline deadline, const std::stop_token& stop) {
  while (!direct_.empty()) {
    if (Status waited = WaitForOne(deadline, stop); !waited.ok()) return waited;
  }
  return {};
}

}  // namespace forebay
