#include "upstream/http_date.h"

#include <array>
#include <charconv>
#include <chrono>

namespace forebay {
namespace {

// The number that is the whole of `digits`, or -1.
int Number(std::string_view digits) {
  int number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc{} || end != digits.data() + digits.size()) return -1;
  return number;
}

struct Parts {
  int year = 0;
  unsigned month = 0;
  int day = 0;
  std::string_view time;  // "17:50:30"
};

std::optional<std::int64_t> SecondsOf(const Parts& parts) {
  using std::chrono::days, std::chrono::seconds;
  if (parts.time.size() != 8 || parts.time[2] != ':' || parts.time[5] != ':') return std::nullopt;
  const int hour = Number(parts.time.substr(0, 2));
  const int minute = Number(parts.time.substr(3, 2));
  const int second = Number(parts.time.substr(6, 2));
  constexpr int kSecondMax = 60;  // A leap second.
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > kSecondMax) {
    return std::nullopt;
  }
  if (parts.year < 0 || parts.day < 0) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(parts.year),
                                         std::chrono::month(parts.month),
                                         std::chrono::day(static_cast<unsigned>(parts.day))};
  if (!date.ok()) return std::nullopt;
  const auto midnight = std::chrono::sys_days(date).time_since_epoch();
  return (seconds(midnight) + std::chrono::hours(hour) + std::chrono::minutes(minute)).count() +
         second;
}

}  // namespace

std::optional<std::int64_t> ParseHttpDate(std::string_view text) {
  constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  constexpr std::size_t kLength = 29;
  if (text.size() != kLength || text.substr(3, 2) != ", " || text.substr(25) != " GMT") {
    return std::nullopt;
  }
  if (text[7] != ' ' || text[11] != ' ' || text[16] != ' ') return std::nullopt;
  for (unsigned i = 0; i < kMonths.size(); ++i) {
    if (kMonths[i] != text.substr(8, 3)) continue;
    return SecondsOf(
        {Number(text.substr(12, 4)), i + 1, Number(text.substr(5, 2)), text.substr(17, 8)});
  }
  return std::nullopt;
}

std::optional<std::int64_t> ParseIsoTime(std::string_view text) {
  constexpr std::size_t kToSeconds = 19;
  if (text.size() <= kToSeconds || text.back() != 'Z') return std::nullopt;
  if (text[4] != '-' || text[7] != '-' || text[10] != 'T') return std::nullopt;
  if (text[kToSeconds] != 'Z' && text[kToSeconds] != '.') return std::nullopt;
  const int month = Number(text.substr(5, 2));
  if (month < 1) return std::nullopt;
  return SecondsOf({Number(text.substr(0, 4)), static_cast<unsigned>(month),
                    Number(text.substr(8, 2)), text.substr(11, 8)});
}

}  // namespace forebay
