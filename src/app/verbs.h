// The table of verbs: what the command line, --help and completion know.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/context.h"
#include "app/flags.h"

namespace forebay {

// Where a verb stands in the overview.
enum class VerbGroup : unsigned char { kGroup, kDatasets, kWarm, kMount, kRead, kMeasure, kSelf };

struct Verb {
  std::string_view name;       // One or two words.
  std::string_view arguments;  // For the usage line. What it begins with is also completed.
  std::string_view summary;
  std::string_view details;             // Shown below the flags.
  std::vector<std::string_view> flags;  // Keys.
  std::size_t arguments_min = 0;
  std::size_t arguments_max = 0;
  int (*run)(const Context&) = nullptr;
  VerbGroup group = VerbGroup::kRead;
  std::string_view example = {};  // A command that works.
  std::vector<FlagDefault> defaults = {};
  bool hidden = false;  // Started by another verb or a shell, not by people.
};

std::span<const Verb> AllVerbs();

// The flags of `verb`, which there is, that --print-config shows.
std::vector<std::string> ShownFlags(std::string_view verb);

int RunUpVerb(const Context& context);
int RunDownVerb(const Context& context);
int RunExplainVerb(const Context& context);
int RunWorkerVerb(const Context& context);
int RunCatVerb(const Context& context);
int RunStatVerb(const Context& context);
int RunLsVerb(const Context& context);
int RunCpVerb(const Context& context);
int RunVerifyVerb(const Context& context);
int RunBenchReadVerb(const Context& context);
int RunBenchProcessVerb(const Context& context);
int RunBenchFillVerb(const Context& context);
int RunDatasetCreateVerb(const Context& context);
int RunDatasetShowVerb(const Context& context);
int RunDatasetRefreshVerb(const Context& context);
int RunDatasetDeleteVerb(const Context& context);
int RunDatasetsVerb(const Context& context);
int RunApplyVerb(const Context& context);
int RunDeleteVerb(const Context& context);
int RunLoadVerb(const Context& context);
int RunLoadsVerb(const Context& context);
int RunLoadPauseVerb(const Context& context);
int RunLoadResumeVerb(const Context& context);
int RunLoadCancelVerb(const Context& context);
int RunWaitVerb(const Context& context);
int RunEvictVerb(const Context& context);
int RunStatusVerb(const Context& context);
int RunEventsVerb(const Context& context);
int RunMetricsVerb(const Context& context);
int RunMountVerb(const Context& context);
int RunUmountVerb(const Context& context);
int RunDoctorVerb(const Context& context);
int RunVersionVerb(const Context& context);
int RunCompletionVerb(const Context& context);
int RunCompleteVerb(const Context& context);

}  // namespace forebay
