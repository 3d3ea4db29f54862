#include "app/option_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "app/flags.h"

namespace forebay {
namespace {

constexpr std::string_view kList = "options";
// Of the command line alone, or options of their own (uid and gid).
constexpr auto kNoOptions =
    std::to_array<std::string_view>({kList, "foreground", "print-config", "uid", "gid"});

// The flag of `verb` that `key` names. Null: none.
const Flag* FindFlag(const Verb& verb, std::string key) {
  std::ranges::replace(key, '_', '-');
  if (std::ranges::find(kNoOptions, key) != kNoOptions.end()) return nullptr;
  const auto found = std::ranges::find(verb.flags, key);
  return found == verb.flags.end() ? nullptr : &FlagOf(*found);
}

}  // namespace

std::vector<std::string> SplitOptions(std::string_view list) {
  std::vector<std::string> options(1);
  for (std::size_t i = 0; i < list.size(); ++i) {
    const bool is_escape =
        list[i] == '\\' && i + 1 < list.size() && (list[i + 1] == ',' || list[i + 1] == '\\');
    if (is_escape) {
      options.back() += list[++i];
    } else if (list[i] == ',') {
      options.emplace_back();
    } else {
      options.back() += list[i];
    }
  }
  std::erase(options, "");
  return options;
}

Status SpreadOptions(Invocation& invocation) {
  const auto given = invocation.lists.find(kList);
  if (invocation.verb == nullptr || given == invocation.lists.end()) return {};
  std::vector<std::string> left;
  std::vector<std::pair<std::string, std::string>> flags;
  for (const std::string& list : given->second) {
    for (const std::string& option : SplitOptions(list)) {
      const std::size_t equals = std::min(option.find('='), option.size());
      const Flag* const flag = FindFlag(*invocation.verb, option.substr(0, equals));
      if (flag == nullptr) {
        left.push_back(option);
        continue;
      }
      const bool has_value = equals < option.size();
      if (!has_value && flag->kind != SettingKind::kSwitch) {
        return Error(Code::kInvalidArgument,
                     fmt::format("{}: -o \"{}\": a value is missing; write {}={}",
                                 invocation.verb->name, option, option, flag->placeholder));
      }
      std::string value = has_value ? option.substr(equals + 1) : "true";
      if (flag->repeats) {
        invocation.lists[std::string(flag->key)].push_back(std::move(value));
      } else {
        flags.emplace_back(flag->key, std::move(value));
      }
    }
  }
  std::erase_if(invocation.flags, [&](const auto& flag) {
    return flag.first == kList || (invocation.lists.contains(flag.first));
  });
  for (const auto& [key, values] : invocation.lists) {
    const std::vector<std::string>& all = key == kList ? left : values;
    if (!all.empty()) flags.emplace_back(key, fmt::format("{}", fmt::join(all, ",")));
  }
  invocation.lists[std::string(kList)] = std::move(left);
  invocation.flags.insert(invocation.flags.begin(), std::make_move_iterator(flags.begin()),
                          std::make_move_iterator(flags.end()));
  return {};
}

}  // namespace forebay
