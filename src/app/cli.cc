#include "app/cli.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <algorithm>
#include <array>

#include "app/option_list.h"
#include "app/table.h"
#include "app/version.h"

namespace forebay {
namespace {

struct GroupTitle {
  VerbGroup group;
  std::string_view title;
};

constexpr auto kTitles = std::to_array<GroupTitle>({
    {VerbGroup::kGroup, "The group"},
    {VerbGroup::kDatasets, "Datasets"},
    {VerbGroup::kWarm, "Warm and cold"},
    {VerbGroup::kMount, "Mount"},
    {VerbGroup::kRead, "Read without a mount"},
    {VerbGroup::kMeasure, "Measure"},
    {VerbGroup::kSelf, "This machine and this program"},
});

std::string Overview() {
  std::string text =
      "Forebay: an elastic distributed dataset cache.\nUsage: forebay VERB [ARGS] [--flags]\n";
  for (const GroupTitle& title : kTitles) {
    text += fmt::format("\n{}:\n", title.title);
    for (const Verb& verb : AllVerbs()) {
      if (verb.hidden || verb.group != title.group) continue;
      text += fmt::format("  {:<16} {}\n", verb.name, verb.summary);
    }
  }
  return text + "\n`forebay VERB --help` shows the flags of a verb, and an example.\n";
}

// A line a verb: its name, whether it is hidden, and its flags, separated by tabs. For tests that
// must not forget one.
std::string VerbList() {
  std::string text;
  for (const Verb& verb : AllVerbs()) {
    text += fmt::format("{}\t{}\t{}\n", verb.name, verb.hidden ? "hidden" : "shown",
                        fmt::join(verb.flags, " "));
  }
  return text;
}

// The verb that `arguments` begin with, and how many words of them it takes.
std::pair<const Verb*, std::size_t> FindVerb(const std::vector<std::string>& arguments) {
  for (const Verb& verb : AllVerbs()) {
    const std::size_t space = verb.name.find(' ');
    if (space == std::string_view::npos) {
      if (arguments[0] == verb.name) return {&verb, 1};
    } else if (arguments.size() > 1 &&
               fmt::format("{} {}", arguments[0], arguments[1]) == verb.name) {
      return {&verb, 2};
    }
  }
  return {nullptr, 0};
}

std::string HelpOf(const Verb& verb, const Flag& flag) {
  std::string help(flag.help);
  std::string_view value = flag.default_value;
  const auto own = std::ranges::find(verb.defaults, flag.key, &FlagDefault::key);
  if (own != verb.defaults.end()) value = own->value;
  if (!value.empty() && flag.kind != SettingKind::kSwitch) help += fmt::format(" [{}]", value);
  return help;
}

constexpr std::size_t kColumns = 80;  // Of --help, whatever the terminal.

// "  -n, --namespace NAMESPACE  of the dataset [default]", with the help wrapped.
std::string FlagLine(const Verb& verb, const Flag& flag) {
  constexpr std::size_t kIndent = 30;
  std::string names = flag.letter != 0 ? fmt::format("  -{}, ", flag.letter) : "      ";
  names += fmt::format("--{}", flag.key);
  if (flag.kind != SettingKind::kSwitch) names += fmt::format(" {}", flag.placeholder);
  // At least two blanks before the help, or a line of its own.
  std::string line = names.size() + 2 > kIndent ? names + '\n' + std::string(kIndent, ' ')
                                                : fmt::format("{:<{}}", names, kIndent);
  return line + Wrapped(HelpOf(verb, flag), kIndent, kColumns) + '\n';
}

constexpr Flag kHelpFlag = {.key = "help",
                            .letter = 'h',
                            .kind = SettingKind::kSwitch,
                            .default_value = "",
                            .placeholder = "",
                            .help = "show this"};

std::string HelpOf(const Verb& verb) {
  std::string text = fmt::format("{}\nUsage: forebay {}{}{}{}\n", verb.summary, verb.name,
                                 verb.arguments.empty() ? "" : " ", verb.arguments,
                                 verb.flags.empty() ? "" : " [--flags]");
  if (!verb.details.empty()) text += fmt::format("\n{}\n", Wrapped(verb.details, 0, kColumns));
  text += "\nFlags:\n";
  for (const std::string_view key : verb.flags) text += FlagLine(verb, FlagOf(key));
  text += FlagLine(verb, kHelpFlag);
  if (!verb.example.empty()) text += fmt::format("\nExample:\n  {}\n", verb.example);
  return text;
}

// One parser for one verb. Positional arguments are what the library leaves over: its own
// positionals split a value like "[a,b]", and a file may have that name.
class VerbParser {
 public:
  explicit VerbParser(const Verb& verb) : verb_(verb) {
    app_.allow_extras();
    for (const std::string_view key : verb.flags) Add(FlagOf(key));
  }

  Result<Invocation> Parse(std::vector<std::string> words) {
    std::reverse(words.begin(), words.end());
    try {
      app_.parse(words);
    } catch (const CLI::CallForHelp&) {
      Invocation help;
      help.text = HelpOf(verb_);
      return help;
    } catch (const CLI::ParseError& error) {
      return Wrong(error.what());
    }
    Invocation invocation;
    invocation.verb = &verb_;
    for (const auto& [flag, option] : options_) {
      if (option->count() == 0) continue;
      const std::vector<std::string>& results = option->results();
      if (flag->repeats) invocation.lists[std::string(flag->key)] = results;
      const std::string value =
          flag->repeats ? fmt::format("{}", fmt::join(results, ",")) : results.back();
      invocation.flags.emplace_back(flag->key, value);
    }
    return WithArguments(std::move(invocation));
  }

 private:
  void Add(const Flag& flag) {
    std::string names = fmt::format("--{}", flag.key);
    if (flag.letter != 0) names = fmt::format("-{},{}", flag.letter, names);
    if (flag.letter == 'r') names = "-R," + names;
    CLI::Option* option = nullptr;
    if (flag.kind == SettingKind::kSwitch) {
      option = app_.add_flag(names);
    } else {
      option = app_.add_option(names)->type_size(1)->allow_extra_args(false);
    }
    option->multi_option_policy(flag.repeats ? CLI::MultiOptionPolicy::TakeAll
                                             : CLI::MultiOptionPolicy::TakeLast);
    if (flag.repeats) option->expected(1, CLI::detail::expected_max_vector_size);
    options_.emplace_back(&flag, option);
  }

  Result<Invocation> WithArguments(Invocation invocation) const {
    bool literal = false;
    for (const std::string& word : app_.remaining()) {
      if (!literal && word == "--") {
        literal = true;
      } else if (!literal && word.size() > 1 && word[0] == '-') {
        return Wrong(fmt::format("{}: no such flag; `forebay {} --help` shows them",
                                 word.substr(0, word.find('=')), verb_.name));
      } else {
        invocation.arguments.push_back(word);
      }
    }
    const std::size_t given = invocation.arguments.size();
    const bool only_shown =
        std::ranges::find(invocation.flags, "print-config",
                          &std::pair<std::string, std::string>::first) != invocation.flags.end();
    if (given < verb_.arguments_min && !only_shown) {
      return Wrong(
          fmt::format("arguments are missing; write forebay {} {}", verb_.name, verb_.arguments));
    }
    if (given > verb_.arguments_max) {
      const std::string& first = invocation.arguments[verb_.arguments_max];
      if (verb_.arguments_max == 0) {
        return Wrong(fmt::format("\"{}\": takes no arguments; leave it out", first));
      }
      return Wrong(fmt::format("\"{}\": one argument too many; write forebay {} {}", first,
                               verb_.name, verb_.arguments));
    }
    return invocation;
  }

  Error Wrong(const std::string& message) const {
    return {Code::kInvalidArgument, fmt::format("{}: {}", verb_.name, message)};
  }

  const Verb& verb_;
  CLI::App app_;
  std::vector<std::pair<const Flag*, CLI::Option*>> options_;
};

// What `forebay bench` alone is told: the verbs that begin with that word. Empty: there are none.
std::string VerbsBeginningWith(const std::string& word) {
  std::vector<std::string> verbs;
  for (const Verb& verb : AllVerbs()) {
    if (verb.hidden || !verb.name.starts_with(word + ' ')) continue;
    verbs.push_back(fmt::format("{} {}", verb.name, verb.arguments));
  }
  if (verbs.size() < 2) return fmt::format("{}", fmt::join(verbs, ""));
  const std::string last = verbs.back();
  verbs.pop_back();
  return fmt::format("{} or {}", fmt::join(verbs, ", "), last);
}

bool AsksForHelp(const std::string& word) {
  return word == "--help" || word == "-h";
}

Result<Invocation> Shown(std::string text) {
  Invocation shown;
  shown.text = std::move(text);
  return shown;
}

}  // namespace

Result<Invocation> InvocationOf(const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    return Error(Code::kInvalidArgument, "no verb; `forebay --help` shows them");
  }
  const std::string& first = arguments[0];
  if (first == "--version") return Shown(fmt::format("forebay {}\n", kVersion));
  if (AsksForHelp(first)) return Shown(Overview());
  if (first == "help") {  // `forebay help VERB` is `forebay VERB --help`.
    if (arguments.size() == 1 || AsksForHelp(arguments[1])) return Shown(Overview());
    if (arguments[1] == "--list") return Shown(VerbList());
    std::vector<std::string> turned(arguments.begin() + 1, arguments.end());
    turned.emplace_back("--help");
    return InvocationOf(turned);
  }
  const auto [verb, words] = FindVerb(arguments);
  if (verb != nullptr) {
    Result<Invocation> invocation = VerbParser(*verb).Parse(
        {arguments.begin() + static_cast<std::ptrdiff_t>(words), arguments.end()});
    if (!invocation.ok()) return invocation;
    if (Status spread = SpreadOptions(invocation.value()); !spread.ok()) return spread.error();
    return invocation;
  }
  const std::string longer = VerbsBeginningWith(first);
  if (longer.empty()) {
    return Error(Code::kInvalidArgument,
                 fmt::format("\"{}\": no such verb; `forebay --help` shows them", first));
  }
  if (arguments.size() > 1 && AsksForHelp(arguments[1])) return Shown(Overview());
  return Error(Code::kInvalidArgument, fmt::format("{}: what? write {}", first, longer));
}

}  // namespace forebay
