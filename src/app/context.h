// What every subcommand is given, and how it ends.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "config/settings.h"

namespace forebay {

// Exit codes of every verb (a contract with scripts).
inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;       // Wrong usage or invalid input: nothing was changed.
inline constexpr int kExitDeadline = 124;  // What was waited for did not come in time.
inline constexpr int kExitInterrupted = 130;

struct Context {
  std::string verb;                     // "cat", "bench read": begins every message.
  std::vector<std::string> words = {};  // Of the command line, from the verb on.
  std::vector<std::string> arguments;   // Positional, as given.
  Settings settings;
  // Of flags that may be repeated: their values on the command line. See ListOf.
  std::map<std::string, std::vector<std::string>, std::less<>> lists;
  std::map<std::string, std::string> environment;
};

}  // namespace forebay
