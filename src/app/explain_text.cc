#include "app/explain_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/output.h"

namespace forebay {
namespace {

constexpr std::size_t kLevelWidth = 13;  // "unsupported" and two blanks.
constexpr std::size_t kTextWidthMin = 30;

// Characters, not bytes: continuation bytes of UTF-8 take no column.
std::size_t Columns(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0u) != 0x80u; }));
}

// `text` in lines of at most `width` columns (a longer word has a line of its own), the first after
// `lead`, the others below it.
std::string Wrapped(const std::string& lead, std::string_view text, std::size_t width) {
  const std::size_t indent = Columns(lead);
  const std::size_t room = std::max(width > indent ? width - indent : 0, kTextWidthMin);
  std::string lines = lead;
  std::size_t used = 0;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find(' ', start), text.size());
    const std::string_view word = text.substr(start, end - start);
    if (used > 0 && used + 1 + Columns(word) > room) {
      lines += '\n' + std::string(indent, ' ');
      used = 0;
    } else if (used > 0) {
      lines += ' ';
      ++used;
    }
    lines += word;
    used += Columns(word);
    start = end + 1;
  }
  return lines + '\n';
}

}  // namespace

std::string ExplanationTable(const std::vector<Explanation>& rows, std::size_t width) {
  std::string text;
  const std::string* document = nullptr;
  const std::string blank(kLevelWidth, ' ');
  for (const Explanation& row : rows) {
    if (document == nullptr || *document != row.document) {
      text += fmt::format("{}{}\n", document == nullptr ? "" : "\n", OneLine(row.document));
      document = &row.document;
    }
    const std::string level = fmt::format("{:<{}}", LevelName(row.level), kLevelWidth);
    const std::string value = OneLine(row.value);
    text += Wrapped(level, fmt::format("{}: {}", OneLine(row.path), value.empty() ? "\"\"" : value),
                    width);
    text += Wrapped(blank, OneLine(row.meaning), width);
    if (!row.remedy.empty()) text += Wrapped(blank + "-> ", OneLine(row.remedy), width);
  }
  return text;
}

std::string ExplanationJson(const std::vector<Explanation>& rows) {
  using Ordered = nlohmann::ordered_json;
  Ordered list = Ordered::array();
  for (const Explanation& row : rows) {
    list.push_back({{"document", row.document},
                    {"path", row.path},
                    {"value", row.value},
                    {"meaning", row.meaning},
                    {"level", LevelName(row.level)},
                    {"remedy", row.remedy}});
  }
  constexpr int kIndent = 2;
  return list.dump(kIndent, ' ', false, Ordered::error_handler_t::replace) + '\n';
}

}  // namespace forebay
