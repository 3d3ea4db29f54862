// The table of flags: what the command line, the environment, the config file and --help know.
// Nothing else declares a flag.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/context.h"
#include "config/settings.h"

namespace forebay {

struct Flag {
  std::string_view key;  // Without dashes.
  char letter = 0;       // 0: none.
  SettingKind kind = SettingKind::kText;
  std::string_view default_value;
  std::string_view placeholder;  // Unused for a switch. "a|b": the values that there are.
  std::string_view help;
  bool repeats = false;  // See ListOf.
};

// A default that holds for one verb only.
struct FlagDefault {
  std::string_view key;
  std::string_view value;
};

std::span<const Flag> AllFlags();
const Flag& FlagOf(std::string_view key);

// Declares every flag; `own` are the verb's. The default of `state-dir` follows `environment` and
// the user.
Settings DeclareSettings(const std::map<std::string, std::string>& environment,
                         std::span<const FlagDefault> own = {});

// The values of a flag that may be repeated: those of the command line, else the environment's or
// the file's, separated by commas.
std::vector<std::string> ListOf(const Context& context, std::string_view key);

}  // namespace forebay
