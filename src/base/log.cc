#include "base/log.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <map>

#include "base/mutex.h"
#include "base/wall_clock.h"

namespace forebay {
namespace {

std::atomic<Level> lowest_level = Level::kInfo;

std::string_view LevelName(Level level) {
  switch (level) {
    case Level::kDebug: return "debug";
    case Level::kInfo: return "info";
    case Level::kWarning: return "warn";
    case Level::kError: return "error";
  }
  return "error";
}

// Decides which lines are written: at most kLinesPerSecond of one message in a second.
class Limiter {
 public:
  // How many lines of `message` were left out before this one, or -1 if this one is left out too.
  long Admit(std::string_view message) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    const Deadline now = Clock::now();
    auto found = sites_.find(message);
    if (found == sites_.end()) found = sites_.emplace(message, Site{now, 0, 0}).first;
    Site& site = found->second;
    if (now - site.second_began >= std::chrono::seconds(1)) {
      site.second_began = now;
      site.written = 0;
    }
    if (site.written >= kLinesPerSecond) {
      ++site.left_out;
      return -1;
    }
    ++site.written;
    return std::exchange(site.left_out, 0);
  }

 private:
  static constexpr int kLinesPerSecond = 20;
  struct Site {
    Deadline second_began;
    int written;
    long left_out;
  };
  Mutex mutex_;
  // Keys are the constant messages of this program, so the map is bounded by its source.
  std::map<std::string, Site, std::less<>> sites_ GUARDED_BY(mutex_);
};

bool IsPlain(std::string_view value) {
  if (value.empty()) return false;
  for (const char c : value) {
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) return false;
  }
  return true;
}

void AppendValue(std::string& line, std::string_view value) {
  if (IsPlain(value)) {
    line += value;
    return;
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  line += '"';
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      line += '\\';
      line += c;
    } else if (byte < ' ' || byte == 0x7f) {
      line += "\\x";
      line += kDigits[byte >> 4];
      line += kDigits[byte & 15];
    } else {
      line += c;
    }
  }
  line += '"';
}

}  // namespace

void SetLogLevel(Level level) {
  lowest_level = level;
}

void Log(Level level, std::string_view message, std::initializer_list<LogField> fields) {
  static Limiter limiter;
  if (level < lowest_level.load()) return;
  const long left_out = limiter.Admit(message);
  if (left_out < 0) return;
  std::string line = "time=" + Rfc3339(WallClockNanoseconds()) + " level=";
  line += LevelName(level);
  line += " msg=";
  AppendValue(line, message);
  for (const LogField& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    AppendValue(line, field.value);
  }
  if (left_out > 0) line += " left_out=" + std::to_string(left_out);
  line += '\n';
  // A log line that cannot be written has nowhere to be reported.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace forebay
