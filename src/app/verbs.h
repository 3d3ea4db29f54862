// The tables of verbs and flags: what the command line, the environment, the config file and --help
// know. Nothing else declares a flag.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/context.h"

namespace forebay {

struct Flag {
  std::string_view key;  // Without dashes.
  char letter = 0;       // 0: none.
  SettingKind kind = SettingKind::kText;
  std::string_view default_value;
  std::string_view placeholder;  // Unused for a switch.
  std::string_view help;
  bool repeats = false;  // Given several times, the values are joined with commas.
};

struct Verb {
  std::string_view name;       // One or two words.
  std::string_view arguments;  // For the usage line.
  std::string_view summary;
  std::string_view details;             // Shown below the flags.
  std::vector<std::string_view> flags;  // Keys.
  std::size_t arguments_min = 0;
  std::size_t arguments_max = 0;
  int (*run)(const Context&) = nullptr;
  bool hidden = false;  // Started by another verb, not by people.
};

std::span<const Flag> AllFlags();
std::span<const Verb> AllVerbs();

const Flag& FlagOf(std::string_view key);

// Declares every flag. The default of `state-dir` follows `environment` and the user.
Settings DeclareSettings(const std::map<std::string, std::string>& environment);

int RunWorkerVerb(const Context& context);
int RunCatVerb(const Context& context);
int RunStatVerb(const Context& context);
int RunLsVerb(const Context& context);
int RunCpVerb(const Context& context);
int RunVerifyVerb(const Context& context);
int RunExplainVerb(const Context& context);
int RunBenchReadVerb(const Context& context);
int RunBenchProcessVerb(const Context& context);
int RunBenchFillVerb(const Context& context);

}  // namespace forebay
