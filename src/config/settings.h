// Settings: one value a key, merged from defaults < file < environment < flags.
//
// Declare every key of the program, whatever the verb, so that one file and one environment serve
// all verbs and an unknown key is always a mistake. Whoever declares a key says its kind; a value
// that is not of that kind is refused where it enters, so the getters cannot fail.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"

namespace forebay {

enum class SettingKind : unsigned char {
  kText,
  kSize,      // Bytes, as ParseSize takes them.
  kDuration,  // As ParseDuration takes them.
  kRatio,     // As ParseRatio takes them.
  kCount,     // A decimal number without sign.
  kSwitch,    // "true" or "false".
  kSecret,    // Never printed, and refused as a flag: argv is public.
  // Says where a secret is. Never printed, as people write the secret itself here by mistake.
  kSecretReference,
};

struct SettingSpec {
  // As the flag without its dashes: `read-timeout` is also FOREBAY_READ_TIMEOUT and, in a file,
  // `read-timeout:`. [a-z0-9-].
  std::string key;
  SettingKind kind = SettingKind::kText;
  std::string default_value;  // Empty: unset. In any source an empty value means unset.
  std::string help;
};

// The sources may be loaded in any order; the stronger one wins.
//
// Thread safety: none; built at start, then only read.
// Errors of Load and Set: kInvalidArgument, naming source, key, value and what would do; for an
// unknown key the nearest known one. After an error the settings are not to be used.
class Settings {
 public:
  // A broken default, a repeated key, or a key named like a secret that is not of kind kSecret is a
  // bug of the caller: CHECK.
  void Declare(SettingSpec spec);

  // A YAML map of keys to scalars, at most 1 MiB; `name` is the file's, for messages.
  Status LoadFile(const std::string& yaml, const std::string& name);

  // Takes the FOREBAY_… of `environment` that name a setting; other variables are not ours.
  Status LoadEnvironment(const std::map<std::string, std::string>& environment);

  // The value of flag `--key`.
  Status Set(const std::string& key, const std::string& value);

  // Whether `key` has a value. Getters of an unset key CHECK, as those of another kind do.
  bool Has(std::string_view key) const;
  const std::string& Text(std::string_view key) const;  // Also of a kSecretReference.
  std::uint64_t Size(std::string_view key) const;
  std::chrono::milliseconds Duration(std::string_view key) const;
  double Ratio(std::string_view key) const;
  std::uint64_t Count(std::string_view key) const;
  bool Switch(std::string_view key) const;
  Secret SecretValue(std::string_view key) const;

  // For --print-config: a line a key, in order of declaration, of `keys` or, if that is empty, of
  // all: "read-timeout: 30s  # default". The text is a file that LoadFile takes. Secrets are
  // comments without the value, and the user part of a URL is left out.
  std::string Print(const std::vector<std::string>& keys) const;

  // In order of declaration, for making flags and help.
  std::vector<SettingSpec> Specs() const;

 private:
  bool Declares(const std::string& key) const;
  enum class Source : unsigned char { kDefault, kFile, kEnvironment, kFlag };
  struct Setting {
    SettingSpec spec;
    std::string value;
    Source source = Source::kDefault;
    std::string origin;  // "file /etc/forebay.yaml", "environment FOREBAY_X", "flag --x".
  };

  Status Take(Source source, const std::string& origin, const std::string& key,
              const std::string& value);
  const Setting* Find(std::string_view key) const;
  const std::string& ValueOf(std::string_view key, SettingKind kind) const;

  std::vector<Setting> settings_;
};

}  // namespace forebay
