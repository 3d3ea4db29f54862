#include "config/settings.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "base/check.h"
#include "base/nearest.h"
#include "base/units.h"

namespace forebay {
namespace {

constexpr std::string_view kEnvironmentPrefix = "FOREBAY_";
constexpr std::size_t kFileBytesMax = 1u << 20;

Error Invalid(std::string message) {
  return {Code::kInvalidArgument, std::move(message)};
}

std::optional<std::uint64_t> ParseCount(std::string_view text) {
  std::uint64_t count = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc{} || stop != text.data() + text.size()) return std::nullopt;
  return count;
}

template <typename T>
Status Outcome(Result<T> parsed) {
  return parsed.ok() ? Status() : Status(std::move(parsed).error());
}

Status CheckKind(SettingKind kind, const std::string& value) {
  switch (kind) {
    case SettingKind::kText:
    case SettingKind::kSecretReference:
    case SettingKind::kSecret: return {};
    case SettingKind::kSize: return Outcome(ParseSize(value));
    case SettingKind::kDuration: return Outcome(ParseDuration(value));
    case SettingKind::kRatio: return Outcome(ParseRatio(value));
    case SettingKind::kCount:
      if (ParseCount(value)) return {};
      return Invalid('"' + value + "\": not a number; write one like 8");
    case SettingKind::kSwitch:
      if (value == "true" || value == "false") return {};
      return Invalid('"' + value + "\": not a switch; write true or false");
  }
  return {};
}

std::string VariableOf(std::string_view key) {
  std::string variable(kEnvironmentPrefix);
  for (const char c : key) {
    const bool small = c >= 'a' && c <= 'z';
    variable += c == '-' ? '_' : small ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return variable;
}

std::string KeyOf(std::string_view variable) {
  std::string key;
  for (const char c : variable.substr(kEnvironmentPrefix.size())) {
    const bool big = c >= 'A' && c <= 'Z';
    key += c == '_' ? '-' : big ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return key;
}

bool LooksSecret(std::string_view key) {
  for (const std::string_view word : {"secret", "token", "password"}) {
    if (key.find(word) != std::string_view::npos) return true;
  }
  return false;
}

bool IsHidden(SettingKind kind) {
  return kind == SettingKind::kSecret || kind == SettingKind::kSecretReference;
}

// Without "user:password@": a URL is the one place where a password hides in a plain value.
std::string WithoutUser(const std::string& value) {
  const std::size_t scheme = value.find("://");
  if (scheme == std::string::npos) return value;
  const std::size_t host = scheme + 3;
  const std::size_t end = std::min(value.find('/', host), value.size());
  const std::size_t at = value.rfind('@', end);
  if (at == std::string::npos || at < host) return value;
  return value.substr(0, host) + value.substr(at + 1);
}

std::string Quoted(const std::string& value) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._+%";
  if (!value.empty() && value.find_first_not_of(kPlain) == std::string::npos) return value;
  YAML::Emitter emitter;
  emitter << YAML::DoubleQuoted << value;
  return emitter.c_str();
}

}  // namespace

void Settings::Declare(SettingSpec spec) {
  CHECK(Find(spec.key) == nullptr);
  CHECK(!LooksSecret(spec.key) || IsHidden(spec.kind));
  CHECK(spec.default_value.empty() || CheckKind(spec.kind, spec.default_value).ok());
  std::string value = spec.default_value;
  settings_.push_back({std::move(spec), std::move(value), Source::kDefault, "default"});
}

Status Settings::LoadFile(const std::string& yaml, const std::string& name) {
  if (yaml.size() > kFileBytesMax) return Invalid(name + ": larger than 1 MiB");
  try {
    const YAML::Node root = YAML::Load(yaml);
    if (root.IsNull()) return {};
    if (!root.IsMap()) return Invalid(name + ": not a map; write `key: value` lines");
    std::set<std::string> seen;
    for (const auto& entry : root) {
      if (!entry.first.IsScalar()) return Invalid(name + ": a key is not a plain word");
      const std::string& key = entry.first.Scalar();
      if (!entry.second.IsScalar()) {
        return Invalid(name + ": `" + key + "` is not a single value; write `" + key + ": VALUE`");
      }
      if (!seen.insert(key).second) return Invalid(name + ": `" + key + "` is there twice");
      Status taken = Take(Source::kFile, "file " + name, key, entry.second.Scalar());
      if (!taken.ok()) return taken;
    }
  } catch (const YAML::Exception& error) {
    return Invalid(name + ": not YAML: " + error.what());
  }
  return {};
}

Status Settings::LoadEnvironment(const std::map<std::string, std::string>& environment) {
  for (const auto& [variable, value] : environment) {
    if (!variable.starts_with(kEnvironmentPrefix)) continue;
    // Not a mistake: Kubernetes itself sets FOREBAY_PORT=… where a Service is called "forebay".
    if (!Declares(KeyOf(variable))) continue;
    Status taken = Take(Source::kEnvironment, "environment " + variable, KeyOf(variable), value);
    if (!taken.ok()) return taken;
  }
  return {};
}

bool Settings::Declares(const std::string& key) const {
  return std::ranges::any_of(settings_, [&key](const Setting& s) { return s.spec.key == key; });
}

Status Settings::Set(const std::string& key, const std::string& value) {
  return Take(Source::kFlag, "flag --" + key, key, value);
}

Status Settings::Take(Source source, const std::string& origin, const std::string& key,
                      const std::string& value) {
  const auto found = std::ranges::find(settings_, key, [](const Setting& s) { return s.spec.key; });
  if (found == settings_.end()) {
    std::vector<std::string_view> keys;
    for (const Setting& setting : settings_) keys.push_back(setting.spec.key);
    const std::string nearest(Nearest(key, keys));
    const std::string known = source == Source::kFlag ? "--" + nearest : nearest;
    return Invalid(origin + (source == Source::kFile ? ": `" + key + "`" : "") +
                   ": no such setting; the nearest is " + known);
  }
  const SettingKind kind = found->spec.kind;
  // As a shell leaves it (NAME=), and as --print-config shows what is unset.
  if (value.empty() && source != Source::kFlag) return {};
  if (kind == SettingKind::kSecret && source == Source::kFlag) {
    return Invalid(origin + ": every user of the machine can read flags; set " + VariableOf(key));
  }
  if (!value.empty() || (kind != SettingKind::kText && !IsHidden(kind))) {
    Status checked = CheckKind(kind, value);
    if (!checked.ok()) {
      return std::move(checked).error().Within(source == Source::kFile ? origin + ": " + key
                                                                       : origin);
    }
  }
  if (source < found->source) return {};
  found->value = value;
  found->source = source;
  found->origin = origin;
  return {};
}

const Settings::Setting* Settings::Find(std::string_view key) const {
  for (const Setting& setting : settings_) {
    if (setting.spec.key == key) return &setting;
  }
  return nullptr;
}

const std::string& Settings::ValueOf(std::string_view key, SettingKind kind) const {
  const Setting* setting = Find(key);
  CHECK(setting != nullptr && setting->spec.kind == kind);
  return setting->value;
}

bool Settings::Has(std::string_view key) const {
  const Setting* setting = Find(key);
  CHECK(setting != nullptr);
  return !setting->value.empty();
}

const std::string& Settings::Text(std::string_view key) const {
  const Setting* setting = Find(key);
  CHECK(setting != nullptr);
  const bool reference = setting->spec.kind == SettingKind::kSecretReference;
  return ValueOf(key, reference ? SettingKind::kSecretReference : SettingKind::kText);
}

std::uint64_t Settings::Size(std::string_view key) const {
  return ParseSize(ValueOf(key, SettingKind::kSize)).value();
}

std::chrono::milliseconds Settings::Duration(std::string_view key) const {
  return ParseDuration(ValueOf(key, SettingKind::kDuration)).value();
}

double Settings::Ratio(std::string_view key) const {
  return ParseRatio(ValueOf(key, SettingKind::kRatio)).value();
}

std::uint64_t Settings::Count(std::string_view key) const {
  const std::optional<std::uint64_t> count = ParseCount(ValueOf(key, SettingKind::kCount));
  CHECK(count.has_value());
  return *count;
}

bool Settings::Switch(std::string_view key) const {
  return ValueOf(key, SettingKind::kSwitch) == "true";
}

Secret Settings::SecretValue(std::string_view key) const {
  return Secret(ValueOf(key, SettingKind::kSecret));
}

std::string Settings::Print(const std::vector<std::string>& keys) const {
  std::string text;
  for (const Setting& setting : settings_) {
    const std::string& key = setting.spec.key;
    if (!keys.empty() && std::ranges::find(keys, key) == keys.end()) continue;
    if (IsHidden(setting.spec.kind)) {
      text += "# " + key + ": " + (setting.value.empty() ? "unset" : "***");
    } else {
      text += key + ": " + Quoted(WithoutUser(setting.value));
    }
    text += "  # " + setting.origin + '\n';
  }
  return text;
}

std::vector<SettingSpec> Settings::Specs() const {
  std::vector<SettingSpec> specs;
  specs.reserve(settings_.size());
  for (const Setting& setting : settings_) specs.push_back(setting.spec);
  return specs;
}

}  // namespace forebay
