#include "spec/node.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

namespace forebay {
namespace {

using Json = nlohmann::ordered_json;

Error Wrong(std::string message) {
  return {Code::kInvalidArgument, std::move(message)};
}

// Looks where documents begin, and at nothing else.
class DocumentStarts : public YAML::EventHandler {
 public:
  bool stuck() const { return stuck_; }
  const YAML::Mark& start() const { return start_; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    stuck_ = any_ && mark.pos == start_.pos;
    any_ = true;
    start_ = mark;
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

 private:
  bool any_ = false;
  bool stuck_ = false;
  YAML::Mark start_;
};

// YAML::LoadAll never ends at a stray "}": yaml-cpp 0.7 takes it for one empty document after the
// other. So they are counted first.
Status CheckDocuments(const std::string& yaml) {
  std::istringstream stream(yaml);
  YAML::Parser parser(stream);
  DocumentStarts starts;
  for (std::size_t count = 0; parser.HandleNextDocument(starts); ++count) {
    if (starts.stuck()) {
      return Wrong(fmt::format("not YAML: line {}, column {}: nothing can stand here",
                               starts.start().line + 1, starts.start().column + 1));
    }
    if (count >= kYamlDocumentsMax) {
      return Wrong(fmt::format("more than {} documents", kYamlDocumentsMax));
    }
  }
  return {};
}

// Copies yaml-cpp's graph into a tree. Its nodes share what aliases point at, so a small text can
// be a huge tree, or one without an end: everything copied is counted.
class TreeCopier {
 public:
  Result<Node> Copy(const YAML::Node& from) {
    Node copy;
    Status status = CopyInto(from, 0, copy);
    if (!status.ok()) return status.error();
    return copy;
  }

 private:
  Status Count(const YAML::Node& from, std::size_t depth) {
    if (depth > kYamlDepthMax) {
      return Wrong(fmt::format("nested deeper than {} levels", kYamlDepthMax));
    }
    bytes_ += from.IsScalar() ? from.Scalar().size() : 0;
    if (++nodes_ > kYamlNodesMax || bytes_ > kYamlBytesExpandedMax) {
      return Wrong(fmt::format("more than {} values, or {} MiB, with aliases followed",
                               kYamlNodesMax, kYamlBytesExpandedMax >> 20));
    }
    return {};
  }

  Status CopyInto(const YAML::Node& from, std::size_t depth, Node& to) {
    if (Status counted = Count(from, depth); !counted.ok()) return counted;
    if (from.IsScalar()) {
      to.type = Node::Type::kScalar;
      to.text = from.Scalar();
      to.plain = from.Tag() != "!" && from.Tag() != "tag:yaml.org,2002:str";
    } else if (from.IsSequence()) {
      to.type = Node::Type::kList;
      for (const auto& item : from) {
        Status status = CopyInto(item, depth + 1, to.items.emplace_back());
        if (!status.ok()) return status;
      }
    } else if (from.IsMap()) {
      return CopyMap(from, depth, to);
    }
    return {};
  }

  Status CopyMap(const YAML::Node& from, std::size_t depth, Node& to) {
    to.type = Node::Type::kMap;
    std::set<std::string> keys;
    for (const auto& entry : from) {
      const int line = entry.first.Mark().line + 1;
      if (!entry.first.IsScalar()) {
        return Wrong(fmt::format("line {}: a key is not a plain word", line));
      }
      const std::string& key = entry.first.Scalar();
      if (Status counted = Count(entry.first, depth); !counted.ok()) return counted;
      if (!keys.insert(key).second) {
        return Wrong(fmt::format("line {}: \"{}\" is there twice; write it once", line, key));
      }
      auto& [name, value] = to.fields.emplace_back(NodeField{key, {}});
      Status status = CopyInto(entry.second, depth + 1, value);
      if (!status.ok()) return status;
    }
    return {};
  }

  std::size_t nodes_ = 0;
  std::size_t bytes_ = 0;
};

Result<std::vector<Node>> CopyAll(const std::vector<YAML::Node>& roots) {
  TreeCopier copier;
  std::vector<Node> documents;
  for (std::size_t i = 0; i < roots.size(); ++i) {
    Result<Node> copy = copier.Copy(roots[i]);
    if (!copy.ok()) return std::move(copy).error().Within(fmt::format("document {}", i + 1));
    documents.push_back(std::move(copy).value());
  }
  return documents;
}

// As JSON writes it, so that a plain 007 or 0x7 stays text.
bool IsJsonNumber(std::string_view text) {
  const Json parsed = Json::parse(text, nullptr, false);
  return parsed.is_number() && text.find_first_of(" \t\r\n") == std::string_view::npos;
}

Json ScalarJson(const Node& node) {
  if (!node.plain) return node.text;
  if (node.text == "true" || node.text == "false") return node.text == "true";
  if (IsJsonNumber(node.text)) return Json::parse(node.text);
  return node.text;
}

Json ToOrderedJson(const Node& node) {
  switch (node.type) {
    case Node::Type::kNull: return nullptr;
    case Node::Type::kScalar: return ScalarJson(node);
    case Node::Type::kList: {
      Json list = Json::array();
      for (const Node& item : node.items) list.push_back(ToOrderedJson(item));
      return list;
    }
    case Node::Type::kMap: {
      Json map = Json::object();
      for (const auto& [name, value] : node.fields) map.push_back({name, ToOrderedJson(value)});
      return map;
    }
  }
  return nullptr;
}

// Deeper than kYamlDepthMax there is nothing: `too_deep` then.
Node FromJson(const Json& json, std::size_t depth, bool& too_deep) {
  Node node;
  if (depth > kYamlDepthMax) {
    too_deep = true;
    return node;
  }
  if (json.is_object()) {
    node.type = Node::Type::kMap;
    for (const auto& [name, value] : json.items()) {
      node.fields.push_back({name, FromJson(value, depth + 1, too_deep)});
    }
  } else if (json.is_array()) {
    node.type = Node::Type::kList;
    for (const Json& item : json) {
      node.items.push_back(FromJson(item, depth + 1, too_deep));
    }
  } else if (!json.is_null()) {
    node.type = Node::Type::kScalar;
    node.plain = !json.is_string();
    node.text = json.is_string() ? json.get<std::string>() : json.dump();
  }
  return node;
}

}  // namespace

const Node* Node::Find(std::string_view name) const {
  const auto found = std::ranges::find(fields, name, &NodeField::name);
  return found == fields.end() || found->value.type == Type::kNull ? nullptr : &found->value;
}

Result<std::vector<Node>> ParseYaml(const std::string& yaml) {
  if (yaml.size() > kYamlBytesMax) {
    return Wrong(fmt::format("larger than {} MiB", kYamlBytesMax >> 20));
  }
  if (!IsUtf8(yaml)) return Wrong("not UTF-8 text; save it as UTF-8");
  try {
    if (Status documents = CheckDocuments(yaml); !documents.ok()) return documents.error();
    return CopyAll(YAML::LoadAll(yaml));
  } catch (const YAML::Exception& error) {
    if (error.mark.is_null()) return Wrong(fmt::format("not YAML: {}", error.msg));
    return Wrong(fmt::format("not YAML: line {}, column {}: {}", error.mark.line + 1,
                             error.mark.column + 1, error.msg));
  }
}

bool IsUtf8(const std::string& text) {
  try {
    return !Json(text).dump().empty();
  } catch (const Json::type_error&) {
    return false;
  }
}

std::string JsonOf(const Node& node) {
  return ToOrderedJson(node).dump();
}

Result<Node> ParseJson(const std::string& json) {
  const Json parsed = Json::parse(json, nullptr, false);
  if (parsed.is_discarded()) return Wrong("not JSON");
  bool too_deep = false;
  Node node = FromJson(parsed, 0, too_deep);
  if (too_deep) return Wrong(fmt::format("nested deeper than {} levels", kYamlDepthMax));
  return node;
}

std::string CanonicalJson(const std::string& json) {
  return nlohmann::json::parse(json).dump();
}

}  // namespace forebay
