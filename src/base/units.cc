#include "base/units.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

namespace forebay {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

constexpr double kKi = 1024;
constexpr std::array<Unit, 18> kSizeUnits = {{
    {"", 1},
    {"B", 1},
    {"Ki", kKi},
    {"KiB", kKi},
    {"K", 1e3},
    {"KB", 1e3},
    {"Mi", kKi* kKi},
    {"MiB", kKi* kKi},
    {"M", 1e6},
    {"MB", 1e6},
    {"Gi", kKi* kKi* kKi},
    {"GiB", kKi* kKi* kKi},
    {"G", 1e9},
    {"GB", 1e9},
    {"Ti", kKi* kKi* kKi* kKi},
    {"TiB", kKi* kKi* kKi* kKi},
    {"T", 1e12},
    {"TB", 1e12},
}};
constexpr std::array<Unit, 5> kDurationUnits = {
    {{"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}, {"d", 86400e3}}};

// Takes a decimal number without sign or exponent from the front of `text`.
std::optional<double> TakeNumber(std::string_view& text) {
  const std::size_t end = std::min(text.find_first_not_of("0123456789."), text.size());
  double number = 0;
  const auto [stop, error] =
      std::from_chars(text.data(), text.data() + end, number, std::chars_format::fixed);
  if (error != std::errc{} || stop != text.data() + end) return std::nullopt;
  text.remove_prefix(end);
  return number;
}

std::string_view TakeWord(std::string_view& text) {
  const std::size_t end = std::min(text.find_first_of("0123456789."), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

template <std::size_t N>
std::optional<double> FactorOf(const std::array<Unit, N>& units, std::string_view name) {
  for (const Unit& unit : units) {
    if (unit.name == name) return unit.factor;
  }
  return std::nullopt;
}

Error NotA(std::string_view what, std::string_view text, std::string_view examples) {
  return {Code::kInvalidArgument, fmt::format("\"{}\": not a {}; write {}", text, what, examples)};
}

}  // namespace

Result<std::uint64_t> ParseSize(std::string_view text) {
  std::string_view rest = text;
  const std::optional<double> number = TakeNumber(rest);
  const std::optional<double> factor = FactorOf(kSizeUnits, rest);
  constexpr double kSizeMax = 9e18;
  if (!number || !factor || *number * *factor > kSizeMax) {
    return NotA("size", text, "4GiB, 512M or 4096 (bytes)");
  }
  return static_cast<std::uint64_t>(std::llround(*number * *factor));
}

Result<std::chrono::milliseconds> ParseDuration(std::string_view text) {
  const Error error = NotA("duration", text, "250ms, 60s, 10m or 1h30m");
  if (text == "0") return std::chrono::milliseconds(0);
  std::string_view rest = text;
  double total = 0;
  if (rest.empty()) return error;
  while (!rest.empty()) {
    const std::optional<double> number = TakeNumber(rest);
    const std::optional<double> factor = FactorOf(kDurationUnits, TakeWord(rest));
    if (!number || !factor) return error;
    total += *number * *factor;
  }
  constexpr double kLongest = 1e15;
  if (total > kLongest) return error;
  return std::chrono::milliseconds(std::llround(total));
}

Result<double> ParseRatio(std::string_view text) {
  std::string_view rest = text;
  const std::optional<double> number = TakeNumber(rest);
  constexpr double kPercent = 100;  // Divided by, so that 95% is the same number as 0.95.
  const double ratio = number.value_or(-1) / (rest == "%" ? kPercent : 1);
  if (!number || (rest != "%" && !rest.empty()) || ratio < 0 || ratio > 1) {
    return NotA("ratio", text, "95% or 0.95");
  }
  return ratio;
}

std::string FormatSize(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> kNames = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= kKi && unit + 1 < kNames.size()) {
    value /= kKi;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.4g} {}", value, kNames[unit]);
}

std::string FormatDuration(std::chrono::milliseconds duration) {
  std::int64_t left = duration.count();
  if (left == 0) return "0s";
  std::string text;
  for (std::size_t i = kDurationUnits.size(); i-- > 0;) {
    const auto factor = static_cast<std::int64_t>(kDurationUnits[i].factor);
    if (left >= factor) {
      text += fmt::format("{}{}", left / factor, kDurationUnits[i].name);
      left %= factor;
    }
  }
  return text;
}

}  // namespace forebay
