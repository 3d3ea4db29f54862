#include "app/mount_helper.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "app/context.h"
#include "app/option_list.h"
#include "control/files.h"
#include "mount/mount_point.h"

namespace forebay {
namespace {

// Where the services of the package have the stores' credentials from.
constexpr std::string_view kEnvironmentFile = "/etc/forebay/environment";
constexpr std::string_view kEnvironmentKey = "environment-file=";

Error Wrong(const std::string& message) {
  return {Code::kInvalidArgument,
          fmt::format("mount.forebay: {}; write mount.forebay SOURCE DIR [-sfnv] [-o OPTIONS]",
                      message)};
}

// The options for the verb, of which `call` takes its own.
void TakeOptions(std::string_view list, MountHelperCall& call, std::string& options) {
  for (const std::string& option : SplitOptions(list)) {
    if (option.starts_with(kEnvironmentKey)) {
      call.environment_file = option.substr(kEnvironmentKey.size());
    } else if (option != "rw") {  // mount(8) adds it wherever nobody wrote "ro".
      options += options.empty() ? "" : ",";
      options += EscapedOption(option);
    }
  }
}

// The letters that stand alone, as options; nothing: there is no such letter.
Result<std::string_view> OptionOf(char letter, bool& is_verbose) {
  switch (letter) {
    case 'f': return std::string_view("fake");
    case 's': return std::string_view("sloppy");
    case 'v': is_verbose = true; return std::string_view();
    case 'n':  // Nobody writes /etc/mtab any more.
    case 'r':
    case 'w': return std::string_view();
    default: return Wrong(fmt::format("-{}: no such flag", letter));
  }
}

}  // namespace

bool IsMountHelper(std::string_view program) {
  const std::string_view name = program.substr(program.rfind('/') + 1);
  return name == "mount.forebay" || name == "mount.fuse.forebay";
}

Result<MountHelperCall> ParseMountHelper(const std::vector<std::string>& arguments) {
  MountHelperCall call;
  std::string options;
  std::vector<std::string> places;
  bool is_verbose = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word.size() < 2 || word[0] != '-') {
      places.push_back(word);
      continue;
    }
    for (std::size_t at = 1; at < word.size(); ++at) {
      const char letter = word[at];
      if (letter != 'o' && letter != 't') {
        const Result<std::string_view> option = OptionOf(letter, is_verbose);
        if (!option.ok()) return option.error();
        TakeOptions(option.value(), call, options);
        continue;
      }
      if (at + 1 == word.size() && i + 1 == arguments.size()) {
        return Wrong(fmt::format("-{}: a value is missing", letter));
      }
      const std::string value = at + 1 < word.size() ? word.substr(at + 1) : arguments[++i];
      if (letter == 'o') TakeOptions(value, call, options);
      break;
    }
  }
  constexpr std::size_t kPlaces = 2;
  if (places.size() != kPlaces) return Wrong("not a source and a directory");
  call.words = {"mount"};
  if (!is_verbose) call.words.emplace_back("--quiet");
  if (!options.empty()) call.words.push_back("--options=" + options);
  call.words.insert(call.words.end(), {"--", places[0], places[1]});
  return call;
}

std::vector<std::pair<std::string, std::string>> ParseEnvironment(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> variables;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    constexpr std::string_view kBlanks = " \t\r";
    line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
    line = line.substr(0, line.find_last_not_of(kBlanks) + 1);
    const std::size_t equals = line.find('=');
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (equals == 0 || equals == std::string_view::npos) continue;
    std::string_view value = line.substr(equals + 1);
    const bool is_quoted = value.size() > 1 && value.front() == value.back() &&
                           (value.front() == '"' || value.front() == '\'');
    if (is_quoted) value = value.substr(1, value.size() - 2);
    variables.emplace_back(line.substr(0, equals), value);
  }
  return variables;
}

Status AddEnvironment(const MountHelperCall& call) {
  const bool is_named = !call.environment_file.empty();
  if (!is_named && geteuid() != 0) return {};
  constexpr std::size_t kBytesMax = 1u << 20;
  const std::string path = is_named ? call.environment_file : std::string(kEnvironmentFile);
  const Result<std::string> text = ReadFile(path, kBytesMax);
  if (!text.ok()) {
    if (!is_named) return {};
    return Error(Code::kInvalidArgument,
                 fmt::format("mount.forebay: -o environment-file \"{}\": {}; name a file of lines "
                             "NAME=VALUE",
                             path, text.error().message()));
  }
  constexpr int kKeepWhatIsThere = 0;
  for (const auto& [name, value] : ParseEnvironment(text.value())) {
    setenv(name.c_str(), value.c_str(), kKeepWhatIsThere);
  }
  return {};
}

int MountHelperExitCode(int code) {
  // Source: mount(8), "EXIT STATUS".
  constexpr int kWrongInvocation = 1;
  constexpr int kInterrupted = 8;
  constexpr int kMountFailed = 32;
  switch (code) {
    case kExitDone: return 0;
    case kExitUsage: return kWrongInvocation;
    case kExitInterrupted: return kInterrupted;
    default: return kMountFailed;
  }
}

}  // namespace forebay
