// forebay bench read URL...: the side that starts the processes, gives the signal and reports.
#include <fmt/format.h>
#include <poll.h>

#include <algorithm>

#include "app/bench_files.h"
#include "app/bench_protocol.h"
#include "app/child_process.h"
#include "app/flags.h"
#include "app/interrupts.h"
#include "app/output.h"
#include "app/pool.h"
#include "app/progress.h"
#include "app/verbs.h"

namespace forebay {
namespace {

struct Child {
  ChildProcess process;
  bool ready = false;
  bool open = true;  // Its output.
  std::uint64_t done_bytes = 0;
  std::optional<BenchResult> result = std::nullopt;
};

// The flags that a process needs to make the same client.
std::vector<std::string> ProcessArguments(const Context& context) {
  std::vector<std::string> arguments = {"bench", "process", "--quiet"};
  for (const std::string_view key :
       {"members", "control", "state-dir", "read-timeout", "endpoint-url", "region", "profile"}) {
    const std::string name(key);
    if (!context.settings.Has(name)) continue;
    const std::string value = key == "read-timeout"
                                  ? fmt::format("{}ms", ReadTimeout(context).count())
                                  : context.settings.Text(name);
    arguments.push_back(fmt::format("--{}={}", key, value));
  }
  for (const std::string& option : ListOf(context, "option")) {
    arguments.push_back(fmt::format("--option={}", option));
  }
  for (const std::string_view key : {"force-path-style", "no-sign-request", "requester-pays"}) {
    arguments.push_back(fmt::format("--{}={}", key, context.settings.Switch(key)));
  }
  return arguments;
}

class BenchRead {
 public:
  BenchRead(const Context& context, const WalkedFiles& walked, const Interrupts& interrupts)
      : context_(context),
        files_(walked.files),
        interrupts_(interrupts),
        tasks_(context.settings.Count("tasks")),
        progress_(context, walked.bytes * tasks_, walked.files.size() * tasks_) {}

  Result<BenchResult> Run() {
    Status status = StartAll();
    if (status.ok()) status = Until([](const Child& child) { return child.ready; });
    // In time for all to know it: they start at the same instant, though they are told in turn.
    constexpr std::chrono::milliseconds kSignalAhead{100};
    const auto signal = (Clock::now() + kSignalAhead).time_since_epoch();
    const std::string go = fmt::format(
        "go {}\n", std::chrono::duration_cast<std::chrono::nanoseconds>(signal).count());
    for (Child& child : children_) {
      if (status.ok()) status = child.process.Send(go);
    }
    if (status.ok()) status = Until([](const Child& child) { return child.result.has_value(); });
    if (!status.ok()) return status.error();
    BenchResult sum;
    for (const Child& child : children_) sum.Add(*child.result);
    return sum;
  }

 private:
  Status StartAll() {
    const std::uint64_t processes = std::min(context_.settings.Count("processes"), tasks_);
    for (std::uint64_t i = 0; i < processes; ++i) {
      Result<ChildProcess> started = ChildProcess::Start(ProcessArguments(context_));
      if (!started.ok()) return std::move(started).error();
      children_.push_back({std::move(started).value()});
      const std::string job = PackJob(
          {.files = files_, .tasks = tasks_ / processes + (i < tasks_ % processes ? 1 : 0)});
      Status sent = children_.back().process.Send(fmt::format("job {}\n", job.size()));
      if (sent.ok()) sent = children_.back().process.Send(job);
      if (!sent.ok()) return sent;
    }
    return {};
  }

  // Takes what the processes say until `done` holds of all of them.
  template <typename Done>
  Status Until(Done done) {
    while (!std::ranges::all_of(children_, done)) {
      if (interrupts_.fired()) return Error(Code::kCancelled, "interrupted");
      std::vector<pollfd> waited;
      for (const Child& child : children_) {
        waited.push_back(
            {.fd = child.open ? child.process.output() : -1, .events = POLLIN, .revents = 0});
      }
      constexpr int kPatience = 100;  // Milliseconds until the next look at the interrupts.
      poll(waited.data(), waited.size(), kPatience);
      for (std::size_t i = 0; i < waited.size(); ++i) {
        if (waited[i].revents == 0) continue;
        const Status heard = Hear(children_[i]);
        if (!heard.ok()) return heard;
      }
      std::uint64_t bytes = 0;
      for (const Child& child : children_) bytes += child.done_bytes;
      progress_.Update(bytes, 0);
    }
    return {};
  }

  static Status Hear(Child& child) {
    std::vector<std::string> lines;
    child.open = child.process.ReadLines(lines);
    for (const std::string& line : lines) {
      if (line == "ready") {
        child.ready = true;
      } else if (const auto bytes = NumberAfter(line, "progress ")) {
        child.done_bytes = *bytes;
      } else {
        Result<BenchResult> result = ResultOfLine(line);
        if (!result.ok()) return std::move(result).error();
        child.done_bytes = result.value().bytes;
        child.result = std::move(result).value();
      }
    }
    if (!child.open && !child.result) {
      return Error(Code::kInternal, "a process ended early; its message is above");
    }
    return {};
  }

  const Context& context_;
  const std::vector<FileToRead>& files_;
  const Interrupts& interrupts_;
  const std::uint64_t tasks_;
  std::vector<Child> children_;
  Progress progress_;
};

Status CheckCounts(const Context& context) {
  constexpr std::uint64_t kMost = 10'000;
  for (const char* key : {"tasks", "processes"}) {
    const std::uint64_t count = context.settings.Count(key);
    if (count == 0 || count > kMost) {
      return Error(Code::kInvalidArgument,
                   fmt::format("--{} {}: write a number from 1 to {}", key, count, kMost));
    }
  }
  return {};
}

}  // namespace

int RunBenchReadVerb(const Context& context) {
  Interrupts interrupts;
  const Status counts = CheckCounts(context);
  if (!counts.ok()) return WrongInput(context, counts.error());
  int exit_code = kExitDone;
  auto input = ListBenchFiles(
      context, interrupts, [&context] { return ConnectPool(context, context.arguments); },
      &exit_code);
  if (!input) return exit_code;
  // Its connections are not to be among those that are measured.
  input->client.reset();
  if (context.settings.Count("processes") > context.settings.Count("tasks")) {
    Note(context,
         fmt::format("--processes {}: there are only {} tasks, so as many processes",
                     context.settings.Count("processes"), context.settings.Count("tasks")));
  }
  const Result<BenchResult> result = BenchRead(context, input->walked, interrupts).Run();
  if (!result.ok()) return Ended(context, interrupts, result.error());
  const std::string report =
      input->format == "json" ? BenchReportJson(result.value()) : BenchReportTable(result.value());
  const int code = Ended(context, interrupts, WriteStdout(report));
  return code == kExitDone && result.value().errors > 0 ? kExitFailed : code;
}

}  // namespace forebay
