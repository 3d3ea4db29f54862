#include "upstream/ini.h"

#include <algorithm>

namespace forebay {
namespace {

constexpr std::string_view kBlank = " \t\r";

std::string_view Trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

std::string_view WithoutComment(std::string_view line) {
  for (std::size_t i = 1; i < line.size(); ++i) {
    if ((line[i] == '#' || line[i] == ';') && (line[i - 1] == ' ' || line[i - 1] == '\t')) {
      return line.substr(0, i);
    }
  }
  return line;
}

// "[profile  x]" -> "profile x".
std::string SectionName(std::string_view line) {
  const std::string_view inner = Trim(line.substr(1, line.find(']') - 1));
  const std::size_t blank = inner.find_first_of(kBlank);
  if (blank == std::string_view::npos) return std::string(inner);
  return std::string(inner.substr(0, blank)) + ' ' + std::string(Trim(inner.substr(blank)));
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return lower;
}

}  // namespace

Ini ParseIni(std::string_view text) {
  Ini ini;
  std::map<std::string, std::string>* section = nullptr;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view raw = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string_view line = Trim(WithoutComment(raw));
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    if (line.front() == '[') {
      section = line.find(']') == std::string_view::npos ? nullptr : &ini[SectionName(line)];
      continue;
    }
    const bool is_nested = kBlank.find(raw.front()) != std::string_view::npos;
    const std::size_t equals = line.find('=');
    if (section == nullptr || is_nested || equals == std::string_view::npos) continue;
    (*section)[LowerCase(Trim(line.substr(0, equals)))] =
        std::string(Trim(line.substr(equals + 1)));
  }
  return ini;
}

}  // namespace forebay
