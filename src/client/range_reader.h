// RangeReader: reads ranges of one version of a file, and reads ahead for callers that go on in
// order.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <stop_token>

#include "base/deadline.h"
#include "base/result.h"
#include "client/backends.h"
#include "client/block_reads.h"
#include "client/buffer_pool.h"
#include "core/read_ahead.h"

namespace forebay {

// Thread safety: none.
class RangeReader {
 public:
  // Holds at most `ahead_bytes_max`, and part of a block, of what was read ahead; 0: nothing.
  RangeReader(Backends& backends, std::shared_ptr<const FileVersion> version,
              std::uint64_t ahead_bytes_max);

  const std::shared_ptr<const FileVersion>& version() const { return version_; }
  bool reads_ahead() const { return ahead_bytes_max_ > 0; }

  // Bytes [offset, offset + buffer.size()) as far as the file goes. After it returned nothing
  // writes to `buffer`. Errors: those of BlockReads; kCancelled (within 100 ms).
  Result<std::size_t> Read(std::uint64_t offset, std::span<std::byte> buffer, Deadline deadline,
                           std::stop_token stop);

 private:
  // Bytes in our own memory, or on their way there: a part of one block.
  struct Run {
    std::uint64_t end = 0;  // In the file; its start is its key.
    BlockBuffer buffer;
    BlockReads::Id id = 0;
    bool arrived = false;
  };
  using Runs = std::map<std::uint64_t, Run>;

  // A part of a read that comes from runs.
  struct Copy {
    std::uint64_t offset = 0;
    std::span<std::byte> destination;
  };

  Status ReadAll(std::uint64_t offset, std::span<std::byte> buffer, bool in_order,
                 Deadline deadline, const std::stop_token& stop);
  // The run that has the byte at `offset`, or end().
  Runs::iterator Covering(std::uint64_t offset);
  // Where a read from `offset` must end: at its block's end, or where a run begins.
  std::uint64_t GapEnd(std::uint64_t offset) const;
  void StartRun(std::uint64_t begin, std::uint64_t end, Deadline deadline);
  void StartDirect(std::uint64_t offset, std::span<std::byte> destination, Deadline deadline);
  void StartAhead(Deadline deadline);
  void Drop(Runs::iterator run);
  void DropRunsUntil(std::uint64_t end);
  Status CopyFromRuns(Copy copy, Deadline deadline, const std::stop_token& stop);
  // Waits for the end of any read. The error is of one that goes to the caller's buffer.
  Status WaitForOne(Deadline deadline, const std::stop_token& stop);
  Status FinishDirect(Deadline deadline, const std::stop_token& stop);

  const std::shared_ptr<const FileVersion> version_;
  const std::uint64_t ahead_bytes_max_;
  ReadAhead policy_;
  std::uint64_t last_end_ = 0;
  ByteRange to_fetch_;  // What the policy asked for and the window had no room for.
  BufferPool pool_;
  Runs runs_;                        // Disjoint.
  std::uint64_t run_bytes_ = 0;      // Capacity of the buffers of all runs.
  std::set<BlockReads::Id> direct_;  // Under way into the caller's buffer.
  BlockReads reads_;                 // Last: lets go of the runs' buffers first.
};

}  // namespace forebay
