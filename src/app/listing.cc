#include "app/listing.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <nlohmann/json.hpp>

#include "app/output.h"
#include "app/table.h"
#include "base/check.h"
#include "base/units.h"
#include "base/wall_clock.h"

namespace forebay {
namespace {

std::string_view TypeOf(const ListedEntry& entry) {
  return entry.attributes.type == FileType::kDirectory ? "dir" : "file";
}

std::string TimeOf(const ListedEntry& entry) {
  return entry.attributes.mtime_ns == 0 ? "" : Rfc3339(entry.attributes.mtime_ns);
}

std::string Json(const std::vector<ListedEntry>& entries) {
  using Ordered = nlohmann::ordered_json;
  const auto or_null = [](const std::string& text) {
    return text.empty() ? Ordered(nullptr) : Ordered(text);
  };
  Ordered list = Ordered::array();
  for (const ListedEntry& entry : entries) {
    list.push_back({{"name", entry.name},
                    {"type", TypeOf(entry)},
                    {"size", entry.attributes.size},
                    {"mtime", or_null(TimeOf(entry))},
                    {"version", or_null(entry.attributes.version)}});
  }
  constexpr int kIndent = 2;
  return list.dump(kIndent, ' ', false, Ordered::error_handler_t::replace) + '\n';
}

std::string Yaml(const std::vector<ListedEntry>& entries) {
  YAML::Emitter out;
  const auto or_null = [&out](const char* key, const std::string& text) {
    out << YAML::Key << key << YAML::Value;
    if (text.empty()) {
      out << YAML::Null;
    } else {
      out << YAML::DoubleQuoted << text;
    }
  };
  out << YAML::BeginSeq;
  for (const ListedEntry& entry : entries) {
    out << YAML::BeginMap;
    or_null("name", entry.name);
    out << YAML::Key << "type" << YAML::Value << std::string(TypeOf(entry));
    out << YAML::Key << "size" << YAML::Value << entry.attributes.size;
    or_null("mtime", TimeOf(entry));
    or_null("version", entry.attributes.version);
    out << YAML::EndMap;
  }
  out << YAML::EndSeq;
  return std::string(out.c_str()) + '\n';
}

std::string TableOf(const std::vector<ListedEntry>& entries, bool wide) {
  if (entries.empty()) return "";
  std::vector<TableRow> rows = {{"TYPE", "SIZE", "MTIME"}};
  if (wide) rows[0].push_back("VERSION");
  rows[0].push_back("NAME");
  for (const ListedEntry& entry : entries) {
    const bool is_directory = entry.attributes.type == FileType::kDirectory;
    std::string size =
        wide ? fmt::format("{}", entry.attributes.size) : FormatSize(entry.attributes.size);
    std::string time = TimeOf(entry);
    TableRow row = {std::string(TypeOf(entry)), is_directory ? "-" : size,
                    time.empty() ? "-" : time};
    if (wide) row.push_back(is_directory ? "-" : OneLine(entry.attributes.version));
    row.push_back(OneLine(entry.name));
    rows.push_back(std::move(row));
  }
  return Table(rows);
}

std::string Names(const std::vector<ListedEntry>& entries) {
  std::string text;
  for (const ListedEntry& entry : entries) text += entry.name + '\n';
  return text;
}

}  // namespace

std::string FormatListing(const std::vector<ListedEntry>& entries, std::string_view format) {
  if (format == "json") return Json(entries);
  if (format == "yaml") return Yaml(entries);
  if (format == "name") return Names(entries);
  CHECK(format == "table" || format == "wide");
  return TableOf(entries, format == "wide");
}

}  // namespace forebay
