// Completion of command lines: the scripts for the shells, and what they ask this program.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace forebay {

// What only a running group knows.
struct CompletionSources {
  std::function<std::vector<std::string>()> datasets;
  std::function<std::vector<std::string>()> loads;
};

// What the last of `words` may become, each beginning with it; `words` are those after the
// program's name. Empty also means: names of files, which the shell knows. Pure but for `sources`.
std::vector<std::string> CompletionsOf(std::span<const std::string> words,
                                       const CompletionSources& sources);

// The script for "bash", "zsh" or "fish"; empty for another shell.
std::string_view CompletionScript(std::string_view shell);

}  // namespace forebay
