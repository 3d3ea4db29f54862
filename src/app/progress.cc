#include "app/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/units.h"

namespace forebay {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

constexpr std::uint64_t kPercent = 100;
constexpr double kMillisecondsPerSecond = 1e3;

double SecondsOf(std::chrono::milliseconds duration) {
  return static_cast<double>(duration.count()) / kMillisecondsPerSecond;
}

std::uint64_t PercentOf(const ProgressState& state) {
  if (state.total_bytes == 0) return kPercent;
  return std::min(kPercent, static_cast<std::uint64_t>(static_cast<double>(state.done_bytes) * 100 /
                                                       static_cast<double>(state.total_bytes)));
}

std::optional<double> RateOf(const ProgressState& state) {
  if (state.bytes_per_second) return static_cast<double>(*state.bytes_per_second);
  if (state.elapsed.count() <= 0 || state.done_bytes == 0) return std::nullopt;
  return static_cast<double>(state.done_bytes) / SecondsOf(state.elapsed);
}

}  // namespace

std::size_t TerminalColumns(int fd) {
  winsize size = {};
  constexpr std::size_t kUsual = 80;
  if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUsual;
  return size.ws_col;
}

std::string ProgressLine(const ProgressState& state) {
  std::string line = fmt::format("{}: {} of {} files, {} of {} ({}%)", state.verb, state.done_files,
                                 state.total_files, FormatSize(state.done_bytes),
                                 FormatSize(state.total_bytes), PercentOf(state));
  const std::optional<double> rate = RateOf(state);
  if (!rate) return line;
  line += fmt::format(", {}/s", FormatSize(static_cast<std::uint64_t>(*rate)));
  if (state.done_bytes >= state.total_bytes) return line;
  if (state.seconds_left) return line + fmt::format(", {}s left", *state.seconds_left);
  if (*rate == 0 || state.bytes_per_second) return line;
  return line + fmt::format(", {:.0f}s left",
                            static_cast<double>(state.total_bytes - state.done_bytes) / *rate);
}

std::string ProgressBar(const ProgressState& state, std::size_t columns) {
  constexpr std::size_t kWidthMax = 20;
  constexpr std::size_t kWidthMin = 5;
  constexpr std::size_t kFrame = 3;  // "[] "
  const std::string line = ProgressLine(state);
  const std::size_t left = columns - std::min(columns, line.size() + kFrame);
  const std::size_t width = std::clamp(left, kWidthMin, kWidthMax);
  const std::size_t full = PercentOf(state) * width / kPercent;
  std::string bar = '[' + std::string(full, '#') + std::string(width - full, '.') + "] " + line;
  return bar.substr(0, columns);
}

std::string ProgressJson(const ProgressState& state) {
  return fmt::format(R"({{"verb":"{}","doneBytes":{},"totalBytes":{},"doneFiles":{},)"
                     R"("totalFiles":{},"seconds":{:.3f}}})",
                     state.verb, state.done_bytes, state.total_bytes, state.done_files,
                     state.total_files, SecondsOf(state.elapsed));
}

Status CheckProgress(const Context& context) {
  const std::string& progress = context.settings.Text("progress");
  if (progress == "auto" || progress == "json" || progress == "none") return {};
  return Error(Code::kInvalidArgument,
               fmt::format("--progress \"{}\": no such form; write auto, json or none", progress));
}

Progress::Progress(const Context& context, std::uint64_t total_bytes, std::uint64_t total_files)
    : started_(Clock::now()) {
  const std::string& form = context.settings.Text("progress");
  if (form == "json") {
    mode_ = Mode::kJson;
  } else if (form == "auto" && !context.settings.Switch("quiet")) {
    mode_ = isatty(STDERR_FILENO) == 1 ? Mode::kBar : Mode::kLines;
  }
  state_ = {.verb = context.verb, .total_bytes = total_bytes, .total_files = total_files};
  // What is done within a moment needs no progress.
  next_ = started_ + (mode_ == Mode::kLines ? 3000ms : 300ms);
}

Progress::~Progress() {
  if (mode_ == Mode::kJson || written_) Write();
  if (mode_ == Mode::kBar && written_) fmt::print(stderr, "\n");
}

void Progress::Update(std::uint64_t done_bytes, std::uint64_t done_files) {
  state_.done_bytes = done_bytes;
  // All bytes are all files, also for those who count bytes only.
  state_.done_files = done_bytes >= state_.total_bytes ? state_.total_files : done_files;
  WriteIfDue();
}

void Progress::Update(const ProgressState& state) {
  std::string verb = std::move(state_.verb);
  state_ = state;
  state_.verb = std::move(verb);
  WriteIfDue();
}

void Progress::WriteIfDue() {
  if (mode_ == Mode::kNone) return;
  const Deadline now = Clock::now();
  if (now < next_) return;
  next_ = now + (mode_ == Mode::kLines ? 3000ms : mode_ == Mode::kJson ? 1000ms : 100ms);
  Write();
}

void Progress::Write() {
  state_.elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - started_);
  switch (mode_) {
    case Mode::kNone: return;
    case Mode::kBar:
      fmt::print(stderr, "\r{}\x1b[K", ProgressBar(state_, TerminalColumns(STDERR_FILENO) - 1));
      break;
    case Mode::kLines: fmt::print(stderr, "{}\n", ProgressLine(state_)); break;
    case Mode::kJson: fmt::print(stderr, "{}\n", ProgressJson(state_)); break;
  }
  written_ = true;
}

}  // namespace forebay
