// A settings file may hold anything. What loads, prints; what was printed loads and prints the
// same.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "config/settings.h"

using forebay::SettingKind;
using forebay::Settings;

namespace {

Settings Declared() {
  Settings settings;
  settings.Declare({"endpoint", SettingKind::kText, "", ""});
  settings.Declare({"read-timeout", SettingKind::kDuration, "30s", ""});
  settings.Declare({"memory", SettingKind::kSize, "", ""});
  settings.Declare({"tasks", SettingKind::kCount, "1", ""});
  settings.Declare({"session-token", SettingKind::kSecret, "", ""});
  return settings;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Settings settings = Declared();
  const std::string yaml(reinterpret_cast<const char*>(data), size);
  if (!settings.LoadFile(yaml, "f").ok()) return 0;
  Settings again = Declared();
  CHECK(again.LoadFile(settings.Print({}), "f").ok());
  if (settings.Has("memory")) CHECK(again.Size("memory") == settings.Size("memory"));
  return 0;
}
