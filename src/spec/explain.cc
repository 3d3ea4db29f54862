#include "spec/explain.h"

#include <fmt/format.h>

#include <map>

#include "base/check.h"
#include "spec/fields.h"
#include "spec/meanings.h"
#include "spec/mount_url.h"
#include "spec/node.h"
#include "spec/schema.h"

namespace forebay {
namespace {

using Level = Explanation::Level;

Level LevelOf(Effect effect) {
  switch (effect) {
    case Effect::kUsed:
    case Effect::kNothing: return Level::kOk;
    case Effect::kDiffers: return Level::kWarning;
    case Effect::kUnsupported: return Level::kUnsupported;
  }
  return Level::kOk;
}

class Explainer {
 public:
  Explainer(const Document& document, std::vector<Explanation>& rows)
      : document_(document), rows_(rows) {}

  void Run() {
    const Result<Node> root = ParseJson(document_.written);
    CHECK(root.ok());  // We wrote it.
    const Node* const name = root.value().Find("kind");
    CHECK(name != nullptr && (kind_ = FindKind(name->text)) != nullptr);
    Map("", root.value());
    const std::vector<Explanation> defaults =
        is_dataset() ? DatasetDefaults(std::get<DatasetSpec>(document_.spec), document_.where)
                     : RuntimeDefaults(std::get<RuntimeSpec>(document_.spec), document_.where);
    rows_.insert(rows_.end(), defaults.begin(), defaults.end());
  }

 private:
  bool is_dataset() const { return std::holds_alternative<DatasetSpec>(document_.spec); }

  void Map(const std::string& path, const Node& node) {
    for (const auto& [name, value] : node.fields) {
      const Field* const field = FindChild(*kind_, path, name);
      CHECK(field != nullptr);  // CheckFields removed all others.
      Value(path.empty() ? name : fmt::format("{}.{}", path, name), *field, value);
    }
  }

  void Value(const std::string& path, const Field& field, const Node& node) {
    switch (field.type) {
      case FieldType::kMap: return Map(path, node);
      case FieldType::kList: return List(path, field, node);
      case FieldType::kOptions:
      case FieldType::kLabels:
        for (const auto& [name, value] : node.fields) {
          Row(fmt::format("{}.{}", path, name), field, value.text);
        }
        return;
      case FieldType::kAny: return Row(path, field, Opaque(path, node));
      case FieldType::kText:
      case FieldType::kWhole:
      case FieldType::kSwitch:
      case FieldType::kRatio:
      case FieldType::kQuantity: return Row(path, field, node.text);
    }
  }

  void List(const std::string& path, const Field& field, const Node& node) {
    if (node.items.empty()) Row(path, field, "[]");
    const Field* const item = FindField(*kind_, path + "[]");
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      Value(fmt::format("{}[{}]", path, i), *item, node.items[i]);
    }
  }

  // Environments hold passwords under any name.
  static std::string Opaque(const std::string& path, const Node& node) {
    if (path.ends_with(".env")) return "***";
    return node.type == Node::Type::kScalar ? node.text : JsonOf(node);
  }

  static std::string Shown(const std::string& path, const std::string& value) {
    if (LooksSecret(path)) return "***";
    return std::string(Shortened(HoldsPassword(value) ? WithoutUser(value) : value));
  }

  void Row(const std::string& path, const Field& field, const std::string& value) {
    Explanation row{document_.where,       path,
                    Shown(path, value),    std::string(field.meaning),
                    LevelOf(field.effect), std::string(field.remedy)};
    if (is_dataset()) {
      RefineDataset(std::get<DatasetSpec>(document_.spec), row);
    } else {
      RefineRuntime(std::get<RuntimeSpec>(document_.spec), row);
    }
    rows_.push_back(std::move(row));
  }

  const Document& document_;
  std::vector<Explanation>& rows_;
  const Kind* kind_ = nullptr;
};

// Merges the warnings of `where` into the rows of their fields, from `first`; what was left out of
// the document has none yet.
void AddWarnings(const ParsedDocuments& parsed, const std::string& where, std::size_t first,
                 std::vector<Explanation>& rows) {
  std::map<std::string, std::size_t> row_of;
  for (std::size_t i = first; i < rows.size(); ++i) row_of[rows[i].path] = i;
  for (const Warning& warning : parsed.warnings) {
    if (warning.document != where) continue;
    Explanation row{where,           warning.path,    warning.value,
                    warning.message, Level::kWarning, warning.remedy};
    const auto found = row_of.find(warning.path);
    if (found == row_of.end()) {
      rows.push_back(std::move(row));
    } else {
      rows[found->second] = std::move(row);
    }
  }
}

}  // namespace

std::string_view LevelName(Explanation::Level level) {
  switch (level) {
    case Level::kOk: return "ok";
    case Level::kWarning: return "warning";
    case Level::kUnsupported: return "unsupported";
  }
  return "";
}

std::vector<Explanation> Explain(const ParsedDocuments& parsed) {
  std::vector<Explanation> rows;
  for (const Document& document : parsed.documents) {
    const std::size_t first = rows.size();
    Explainer(document, rows).Run();
    AddWarnings(parsed, document.where, first, rows);
  }
  return rows;
}

std::size_t IndexIn(std::string_view path, std::string_view list) {
  if (!path.starts_with(list) || path.size() <= list.size() + 1 || path[list.size()] != '[') {
    return kNoIndex;
  }
  std::size_t index = 0;
  for (const char c : path.substr(list.size() + 1)) {
    if (c == ']') return index;
    if (c < '0' || c > '9') return kNoIndex;
    index = index * 10 + static_cast<std::size_t>(c - '0');
  }
  return kNoIndex;
}

}  // namespace forebay
