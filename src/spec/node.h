// YAML as a plain tree: what a document says, before anybody knows what it means.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace forebay {

struct NodeField;

struct Node {
  enum class Type : unsigned char { kNull, kScalar, kList, kMap };

  Type type = Type::kNull;
  std::string text;    // Of a scalar, as written: 0.10 stays "0.10".
  bool plain = false;  // A scalar without quotes: it may be a number or a switch.
  std::vector<Node> items;
  std::vector<NodeField> fields;  // In the order written; each key once.

  // The field `name`, or null if there is none or it says null.
  const Node* Find(std::string_view name) const;
  // `Find`, one field below the other: At("spec", "mounts").
  template <typename... Names>
  const Node* At(std::string_view name, Names... names) const {
    const Node* const found = Find(name);
    if constexpr (sizeof...(names) == 0) {
      return found;
    } else {
      return found == nullptr ? nullptr : found->At(names...);
    }
  }
};

struct NodeField {
  std::string name;
  Node value;
};

// Limits on what people may write; beyond them is a mistake or an attack.
inline constexpr std::size_t kYamlBytesMax = 4u << 20;
inline constexpr std::size_t kYamlDocumentsMax = 1000;
inline constexpr std::size_t kYamlNodesMax = 200'000;  // In all documents, aliases followed.
inline constexpr std::size_t kYamlBytesExpandedMax = 16u << 20;
inline constexpr std::size_t kYamlDepthMax = 32;

// The documents of a stream, in order; those that hold nothing are kNull. JSON is YAML.
// Errors: kInvalidArgument: not UTF-8, not YAML (with line and column), a key that is there twice
// or is not a plain word, or beyond the limits. The message does not name the source.
Result<std::vector<Node>> ParseYaml(const std::string& yaml);

bool IsUtf8(const std::string& text);

// JSON of `node`, on one line; plain scalars as what they are in YAML: null, true, 7, 0.5, "x".
std::string JsonOf(const Node& node);

// Tree of a JSON text, in the order written. Errors: kInvalidArgument.
Result<Node> ParseJson(const std::string& json);

// JSON of the same value with sorted keys. `json` must be JSON.
std::string CanonicalJson(const std::string& json);

}  // namespace forebay
