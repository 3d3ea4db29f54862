// Log: constant message + key/values, logfmt on stderr. Four levels. Nothing in core/ logs.
//
//   Log(Level::kWarning, "fill failed", {{"path", path}, {"error", error.message()}});
//
// A message is for operators; tests assert on metrics, never on log text.
#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace forebay {

enum class Level { kDebug, kInfo, kWarning, kError };

struct LogField {
  std::string_view key;
  std::string value;

  LogField(std::string_view k, std::string v) : key(k), value(std::move(v)) {}
  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(v) {}
  LogField(std::string_view k, std::integral auto v) : key(k), value(std::to_string(v)) {}
};

// Writes one line, with time and level. At most 20 lines a second per message; what was left out is
// counted in the next line that is written.
//
// Thread safety: safe. Cost: one write(2).
void Log(Level level, std::string_view message, std::initializer_list<LogField> fields = {});

// Lines below `level` are dropped. The default is kInfo. Client programs set kWarning.
void SetLogLevel(Level level);

}  // namespace forebay
