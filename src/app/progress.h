// Progress of what takes long, on stderr: a bar on a terminal, else a line every few seconds, or
// JSON.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "app/context.h"
#include "base/deadline.h"

namespace forebay {

struct ProgressState {
  std::string verb;
  std::uint64_t done_bytes = 0;
  std::uint64_t total_bytes = 0;
  std::uint64_t done_files = 0;
  std::uint64_t total_files = 0;
  std::chrono::milliseconds elapsed{0};
};

// "cp: 12 of 40 files, 1.5 GiB of 2 GiB (75%), 300 MiB/s, 2s left". Pure.
std::string ProgressLine(const ProgressState& state);
// The same with a bar, cut to `columns` columns. Pure.
std::string ProgressBar(const ProgressState& state, std::size_t columns);
// {"verb","doneBytes","totalBytes","doneFiles","totalFiles","seconds"}, one line. Pure.
std::string ProgressJson(const ProgressState& state);

// Thread safety: none; one thread reports.
class Progress {
 public:
  // Follows --quiet and --progress. Errors of --progress are found by CheckProgress.
  Progress(const Context& context, std::uint64_t total_bytes, std::uint64_t total_files);
  ~Progress();

  // Cheap enough for every chunk: writes only when it is time to.
  void Update(std::uint64_t done_bytes, std::uint64_t done_files);

 private:
  enum class Mode { kNone, kBar, kLines, kJson };

  void Write();

  Mode mode_ = Mode::kNone;
  ProgressState state_;
  Deadline started_;
  Deadline next_;
  bool written_ = false;
};

// Errors: kInvalidArgument for an unknown --progress.
Status CheckProgress(const Context& context);

}  // namespace forebay
