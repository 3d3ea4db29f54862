#include "app/completion.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "app/verbs.h"

namespace forebay {
namespace {

// The words are taken from the line itself: bash splits at '=' and ':' too, which flags and URLs
// hold. What stands before the last of those must not be repeated in a reply.
constexpr std::string_view kBash = R"sh(# bash completion of forebay
_forebay() {
  local line="${COMP_LINE:0:COMP_POINT}" word prefix=""
  local -a words
  read -ra words <<< "$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  local current="${words[-1]}"
  [[ $current == *[=:]* ]] && prefix="${current%"${current##*[=:]}"}"
  COMPREPLY=()
  while IFS= read -r word; do
    [[ -n $word ]] && COMPREPLY+=("${word#"$prefix"}")
  done < <("${words[0]/#\~/$HOME}" complete -- "${words[@]:1}" 2>/dev/null)
}
complete -o default -F _forebay forebay
)sh";

constexpr std::string_view kZsh = R"sh(#compdef forebay
_forebay() {
  local -a candidates
  candidates=("${(@f)$("${words[1]/#\~/$HOME}" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  candidates=("${(@)candidates:#}")
  if (( ${#candidates} )); then
    compadd -- "${candidates[@]}"
  else
    _files
  fi
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _forebay "$@"
else
  compdef _forebay forebay
fi
)sh";

constexpr std::string_view kFish = R"sh(# fish completion of forebay
function __forebay_complete
    set -l words (commandline -opc) (commandline -ct)
    $words[1] complete -- $words[2..-1] 2>/dev/null
end
complete -c forebay -a '(__forebay_complete)'
)sh";

std::vector<std::string> Beginning(const std::string& with,
                                   const std::vector<std::string>& candidates) {
  std::vector<std::string> list;
  for (const std::string& candidate : candidates) {
    if (candidate.starts_with(with)) list.push_back(candidate);
  }
  return list;
}

// The words at `index` of the verbs that begin with the words before.
std::vector<std::string> VerbWords(std::span<const std::string> before) {
  std::set<std::string> words;
  for (const Verb& verb : AllVerbs()) {
    if (verb.hidden) continue;
    const std::string name(verb.name);
    const std::size_t space = name.find(' ');
    if (before.empty()) {
      words.insert(name.substr(0, space));
    } else if (space != std::string::npos && name.substr(0, space) == before[0]) {
      words.insert(name.substr(space + 1));
    }
  }
  if (before.empty()) words.insert({"help", "--help", "--version"});
  return {words.begin(), words.end()};
}

// "a|b|c" are values; "FILE" and "HOST:PORT|unix:PATH" are not.
std::vector<std::string> Alternatives(std::string_view placeholder) {
  std::vector<std::string> values;
  if (placeholder.find('|') == std::string_view::npos) return values;
  for (std::size_t begin = 0; begin <= placeholder.size();) {
    const std::size_t end = std::min(placeholder.find('|', begin), placeholder.size());
    const std::string_view value = placeholder.substr(begin, end - begin);
    const bool plain = std::ranges::all_of(
        value, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
    if (plain && !value.empty()) values.emplace_back(value);
    begin = end + 1;
  }
  return values;
}

const Flag* FlagNamed(const Verb& verb, std::string_view word) {
  for (const std::string_view key : verb.flags) {
    const Flag& flag = FlagOf(key);
    if (word == "--" + std::string(key)) return &flag;
    if (flag.letter != 0 && word == std::string{'-', flag.letter}) return &flag;
  }
  return nullptr;
}

std::vector<std::string> FlagsOf(const Verb& verb) {
  std::vector<std::string> flags;
  for (const std::string_view key : verb.flags) flags.push_back("--" + std::string(key));
  flags.emplace_back("--help");
  return flags;
}

// A dataset, a load or a word of the usage line.
std::vector<std::string> Positionals(const Verb& verb, std::size_t index,
                                     const CompletionSources& sources) {
  if (index > 0) return {};
  if (verb.arguments.starts_with("NAME") || verb.arguments.starts_with("[NAME")) {
    return sources.datasets();
  }
  if (verb.arguments == "ID") return sources.loads();
  return Alternatives(verb.arguments);
}

const Verb* VerbAt(std::span<const std::string> words, std::size_t& taken) {
  for (const Verb& verb : AllVerbs()) {
    const std::size_t space = verb.name.find(' ');
    taken = space == std::string_view::npos ? 1 : 2;
    if (words.size() <= taken) continue;  // The last word is still being written.
    if (words[0] != verb.name.substr(0, space)) continue;
    if (taken == 1 || words[1] == verb.name.substr(space + 1)) return &verb;
  }
  return nullptr;
}

std::vector<std::string> OfVerb(const Verb& verb, std::span<const std::string> words,
                                const CompletionSources& sources) {
  const std::string& current = words.back();
  std::size_t positionals = 0;
  const Flag* waiting = nullptr;  // A flag whose value comes next.
  for (const std::string& word : words.first(words.size() - 1)) {
    if (waiting != nullptr) {
      waiting = nullptr;
    } else if (word.starts_with('-')) {
      const Flag* flag = FlagNamed(verb, word);
      if (flag != nullptr && flag->kind != SettingKind::kSwitch) waiting = flag;
    } else {
      ++positionals;
    }
  }
  if (waiting != nullptr) return Beginning(current, Alternatives(waiting->placeholder));
  const std::size_t equals = current.find('=');
  if (current.starts_with("--") && equals != std::string::npos) {
    const Flag* flag = FlagNamed(verb, current.substr(0, equals));
    std::vector<std::string> values;
    if (flag != nullptr) values = Alternatives(flag->placeholder);
    for (std::string& value : values) value.insert(0, current.substr(0, equals + 1));
    return Beginning(current, values);
  }
  if (current.starts_with('-')) return Beginning(current, FlagsOf(verb));
  return Beginning(current, Positionals(verb, positionals, sources));
}

}  // namespace

std::vector<std::string> CompletionsOf(std::span<const std::string> words,
                                       const CompletionSources& sources) {
  if (words.empty()) return VerbWords({});
  // `help VERB` is completed as VERB is.
  if (words.size() > 1 && words[0] == "help") words = words.subspan(1);
  std::size_t taken = 0;
  const Verb* verb = VerbAt(words, taken);
  if (verb != nullptr) return OfVerb(*verb, words.subspan(taken), sources);
  constexpr std::size_t kVerbWordsMax = 2;
  if (words.size() > kVerbWordsMax) return {};
  return Beginning(words.back(), VerbWords(words.first(words.size() - 1)));
}

std::string_view CompletionScript(std::string_view shell) {
  if (shell == "bash") return kBash;
  if (shell == "zsh") return kZsh;
  return shell == "fish" ? kFish : std::string_view();
}

}  // namespace forebay
