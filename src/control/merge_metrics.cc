#include "control/merge_metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <string_view>

namespace forebay {
namespace {

// A family of series; those in the order in which they came first, as buckets must stay in order.
struct Family {
  std::string head;  // Its HELP and TYPE lines.
  std::vector<std::string> order;
  std::map<std::string, double> sums;
};

// "name{labels}" and its value; false: not a sample.
bool ParseSample(std::string_view line, std::string_view& series, double& value) {
  const std::size_t space = line.rfind(' ');
  if (space == std::string_view::npos || space == 0) return false;
  series = line.substr(0, space);
  const std::string_view text = line.substr(space + 1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

std::string MergeMetrics(const std::vector<std::string>& texts) {
  std::map<std::string, Family> families;
  for (const std::string& text : texts) {
    Family* family = nullptr;
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = std::min(text.find('\n', begin), text.size());
      const std::string_view line = std::string_view(text).substr(begin, end - begin);
      begin = end + 1;
      constexpr std::string_view kHelp = "# HELP ";
      if (line.starts_with(kHelp)) {
        const std::string_view rest = line.substr(kHelp.size());
        family = &families[std::string(rest.substr(0, rest.find(' ')))];
      }
      if (family == nullptr) continue;
      if (line.starts_with('#')) {
        const std::string whole = std::string(line) + "\n";
        if (family->head.find(whole) == std::string::npos) family->head += whole;
        continue;
      }
      std::string_view series;
      double value = 0;
      if (!ParseSample(line, series, value)) continue;
      const auto [sum, fresh] = family->sums.try_emplace(std::string(series), 0.0);
      if (fresh) family->order.push_back(sum->first);
      // What a family of facts says is 1, however many processes say it.
      const bool fact = series.substr(0, series.find('{')).ends_with("_info");
      sum->second = fact ? std::max(sum->second, value) : sum->second + value;
    }
  }
  std::string merged;
  for (const auto& [name, family] : families) {
    merged += family.head;
    for (const std::string& series : family.order) {
      merged += fmt::format("{} {}\n", series, family.sums.at(series));
    }
  }
  return merged;
}

}  // namespace forebay
