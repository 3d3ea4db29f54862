// Tables, sizes, ratios and ages as people read them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace forebay {

using TableRow = std::vector<std::string>;

// Left-aligned columns, two blanks between them, no blanks at a line's end. The first row is the
// head; every row has as many cells. Cells hold no control characters (see OneLine). Pure.
std::string Table(const std::vector<TableRow>& rows);

// "key:  value" lines with the values in one column. Pure.
std::string Sheet(const std::vector<std::pair<std::string, std::string>>& lines);

// `text` broken at blanks into lines of at most `columns`, if words allow it; lines but the first
// are indented by `indent`, and the first is thought to be, too. Lines of its own stay. Pure.
std::string Wrapped(std::string_view text, std::size_t indent, std::size_t columns);

// "1.5 GiB", or "-" if not known. Pure.
std::string SizeText(std::optional<std::uint64_t> bytes);
std::string CountText(std::uint64_t count, std::string_view noun);  // "1 file", "2 files".
// "97.3%", cut and not rounded: "100%" is all of it. "-" if not known. Pure.
std::string PercentText(std::optional<double> ratio);

// The time since `rfc3339` ("2026-01-01T00:00:00Z"), as kubectl shows it: "9s", "2m5s", "3h20m",
// "5d". "-" if it is empty or no time; "0s" if it is in the future. Pure.
std::string AgeText(std::string_view rfc3339, std::int64_t now_ns);
// The same for a duration. Pure.
std::string AgeText(std::int64_t seconds);

}  // namespace forebay
