// The command line: from argv to an invocation of a verb. Behind it, and only there, the library
// that parses flags.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "app/verbs.h"
#include "base/result.h"

namespace forebay {

struct Invocation {
  const Verb* verb = nullptr;                              // Null: only `text` is to be shown.
  std::vector<std::pair<std::string, std::string>> flags;  // Key and value.
  std::map<std::string, std::vector<std::string>, std::less<>> lists;  // Of repeated flags.
  std::vector<std::string> arguments;
  std::string text;  // Of --help and --version.
};

// `arguments` are those of main without the program's name.
// Errors: kInvalidArgument, beginning with the verb if there is one.
Result<Invocation> InvocationOf(const std::vector<std::string>& arguments);

}  // namespace forebay
