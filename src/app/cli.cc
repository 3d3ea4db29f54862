#include "app/cli.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <algorithm>

#include "app/version.h"

namespace forebay {
namespace {

std::string Overview() {
  std::string text =
      "Forebay: an elastic distributed dataset cache.\nUsage: forebay VERB [ARGS] "
      "[--flags]\n\nVerbs:\n";
  for (const Verb& verb : AllVerbs()) {
    if (!verb.hidden) text += fmt::format("  {:<12} {}\n", verb.name, verb.summary);
  }
  return text +
         "\n`forebay VERB --help` shows the flags of a verb; `forebay --version` the version.\n";
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

std::string HelpOf(const Flag& flag) {
  std::string help(flag.help);
  if (!flag.default_value.empty() && flag.kind != SettingKind::kSwitch) {
    help += fmt::format(" [{}]", flag.default_value);
  }
  return help;
}

// One parser for one verb. Positional arguments are what the library leaves over: its own
// positionals split a value like "[a,b]", and a file may have that name.
class VerbParser {
 public:
  explicit VerbParser(const Verb& verb)
      : verb_(verb),
        app_(std::string(verb.summary),
             fmt::format("forebay {}{}{}", verb.name, verb.arguments.empty() ? "" : " ",
                         verb.arguments)) {
    app_.allow_extras();
    app_.footer('\n' + std::string(verb.details));
    for (const std::string_view key : verb.flags) Add(FlagOf(key));
  }

  Result<Invocation> Parse(std::vector<std::string> words) {
    std::reverse(words.begin(), words.end());
    try {
      app_.parse(words);
    } catch (const CLI::CallForHelp&) {
      Invocation help;
      help.text = app_.help();
      return help;
    } catch (const CLI::ParseError& error) {
      return Wrong(error.what());
    }
    Invocation invocation;
    invocation.verb = &verb_;
    for (const auto& [flag, option] : options_) {
      if (option->count() == 0) continue;
      const std::vector<std::string>& results = option->results();
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
      option = app_.add_option(names)
                   ->type_name(std::string(flag.placeholder))
                   ->type_size(1)
                   ->allow_extra_args(false);
    }
    option->description(HelpOf(flag));
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
    if (given < verb_.arguments_min) {
      return Wrong(
          fmt::format("arguments are missing; write forebay {} {}", verb_.name, verb_.arguments));
    }
    if (given > verb_.arguments_max) {
      return Wrong(fmt::format("\"{}\": takes no arguments; leave it out",
                               invocation.arguments[verb_.arguments_max]));
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

}  // namespace

Result<Invocation> InvocationOf(const std::vector<std::string>& arguments) {
  Invocation shown;
  if (arguments.empty()) {
    return Error(Code::kInvalidArgument, "no verb; `forebay --help` shows them");
  }
  if (arguments[0] == "--version") {
    shown.text = fmt::format("forebay {}\n", kVersion);
    return shown;
  }
  if (arguments[0] == "--help" || arguments[0] == "-h") {
    shown.text = Overview();
    return shown;
  }
  const auto [verb, words] = FindVerb(arguments);
  if (verb != nullptr) {
    return VerbParser(*verb).Parse(
        {arguments.begin() + static_cast<std::ptrdiff_t>(words), arguments.end()});
  }
  if (arguments[0] == "bench") {
    if (arguments.size() > 1 && (arguments[1] == "--help" || arguments[1] == "-h")) {
      shown.text = Overview();
      return shown;
    }
    return Error(Code::kInvalidArgument,
                 "bench: what? write bench read URL... or bench fill URL...");
  }
  return Error(Code::kInvalidArgument,
               fmt::format("\"{}\": no such verb; `forebay --help` shows them", arguments[0]));
}

}  // namespace forebay
