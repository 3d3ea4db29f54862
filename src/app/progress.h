// Progress of what takes long, on stderr: a bar on a terminal, else a line every few seconds, or
// JSON.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
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
  // Of what is not done by this process alone: how fast it is, and how long it takes. Else both
  // follow from the above.
  std::optional<std::uint64_t> bytes_per_second = {};
  std::optional<std::uint64_t> seconds_left = {};
};

// "cp: 12 of 40 files, 1.5 GiB of 2 GiB (75%), 300 MiB/s, 2s left". Pure.
std::string ProgressLine(const ProgressState& state);
// The same with a bar, cut to `columns` columns. Pure.
std::string ProgressBar(const ProgressState& state, std::size_t columns);
// {"verb","doneBytes","totalBytes","doneFiles","totalFiles","seconds"}, one line. Pure.
std::string ProgressJson(const ProgressState& state);

// Of the terminal that `fd` is, or 80.
std::size_t TerminalColumns(int fd);

// Thread safety: none; one thread reports.
class Progress {
 public:
  // Follows --quiet and --progress. Errors of --progress are found by CheckProgress.
  Progress(const Context& context, std::uint64_t total_bytes, std::uint64_t total_files);
  ~Progress();

  // Cheap enough for every chunk: writes only when it is time to.
  void Update(std::uint64_t done_bytes, std::uint64_t done_files);
  // The same for what others do; `verb` and `elapsed` are kept.
  void Update(const ProgressState& state);

 private:
  enum class Mode { kNone, kBar, kLines, kJson };

  void WriteIfDue();
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
