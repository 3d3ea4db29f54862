#include "app/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>

#include "base/check.h"
#include "base/units.h"

namespace forebay {

std::string Table(const std::vector<TableRow>& rows) {
  CHECK(!rows.empty());
  std::vector<std::size_t> widths(rows[0].size(), 0);
  for (const TableRow& row : rows) {
    CHECK(row.size() == widths.size());
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const TableRow& row : rows) {
    std::string line;
    for (std::size_t i = 0; i + 1 < row.size(); ++i) {
      line += fmt::format("{:<{}}  ", row[i], widths[i]);
    }
    line += row.back();
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  }
  return text;
}

std::string Sheet(const std::vector<std::pair<std::string, std::string>>& lines) {
  std::size_t width = 0;
  for (const auto& [key, value] : lines) width = std::max(width, key.size());
  std::string text;
  for (const auto& [key, value] : lines) {
    text += fmt::format("{:<{}}  {}\n", key.empty() ? "" : key + ':', width + 1, value);
  }
  return text;
}

std::string Wrapped(std::string_view text, std::size_t indent, std::size_t columns) {
  constexpr std::size_t kWidthMin = 30;
  const std::size_t width = std::max(kWidthMin, columns > indent ? columns - indent : 0);
  std::string wrapped;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t line = std::min(text.find('\n', begin), text.size());
    std::size_t end = line;
    if (end - begin > width) {
      const std::size_t blank = text.rfind(' ', begin + width);
      end = blank == std::string_view::npos || blank <= begin ? begin + width : blank;
    }
    if (begin > 0) wrapped += '\n' + std::string(indent, ' ');
    wrapped += text.substr(begin, end - begin);
    begin = end < text.size() && (text[end] == ' ' || text[end] == '\n') ? end + 1 : end;
  }
  return wrapped;
}

std::string CountText(std::uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string SizeText(std::optional<std::uint64_t> bytes) {
  return bytes ? FormatSize(*bytes) : "-";
}

std::string PercentText(std::optional<double> ratio) {
  if (!ratio) return "-";
  constexpr double kTenths = 1000;
  const double tenths = std::floor(*ratio * kTenths + 1e-9);
  return fmt::format("{:.4g}%", tenths / 10);
}

std::string AgeText(std::int64_t seconds) {
  constexpr std::int64_t kMinute = 60;
  constexpr std::int64_t kHour = 60 * kMinute;
  constexpr std::int64_t kDay = 24 * kHour;
  if (seconds < 2 * kMinute) return fmt::format("{}s", std::max<std::int64_t>(seconds, 0));
  // The second unit only while it says something.
  const auto two = [](std::int64_t first, char unit, std::int64_t second, char smaller) {
    return second == 0 ? fmt::format("{}{}", first, unit)
                       : fmt::format("{}{}{}{}", first, unit, second, smaller);
  };
  if (seconds < 10 * kMinute) return two(seconds / kMinute, 'm', seconds % kMinute, 's');
  if (seconds < 2 * kHour) return fmt::format("{}m", seconds / kMinute);
  if (seconds < 8 * kHour) return two(seconds / kHour, 'h', seconds % kHour / kMinute, 'm');
  if (seconds < 2 * kDay) return fmt::format("{}h", seconds / kHour);
  return fmt::format("{}d", seconds / kDay);
}

std::string AgeText(std::string_view rfc3339, std::int64_t now_ns) {
  std::tm time = {};
  const std::string text(rfc3339);
  if (strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &time) == nullptr) return "-";
  constexpr std::int64_t kNanoseconds = 1'000'000'000;
  return AgeText(now_ns / kNanoseconds - static_cast<std::int64_t>(timegm(&time)));
}

}  // namespace forebay
