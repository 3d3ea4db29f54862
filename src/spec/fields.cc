#include "spec/fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "base/nearest.h"
#include "base/units.h"
#include "spec/mount_url.h"
#include "spec/quantity.h"

namespace forebay {
namespace {

std::string_view TypeName(Node::Type type) {
  switch (type) {
    case Node::Type::kNull: return "empty";
    case Node::Type::kScalar: return "a single value";
    case Node::Type::kList: return "a list";
    case Node::Type::kMap: return "a map";
  }
  return "";
}

Error WrongType(const std::string& path, const Node& node, std::string_view remedy) {
  if (node.type == Node::Type::kScalar) {
    return WrongField(path, node.text, fmt::format("a single value; write {}", remedy));
  }
  return {Code::kInvalidArgument,
          fmt::format("{}: {}; write {}", path, TypeName(node.type), remedy)};
}

bool HasControls(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20; });
}

bool IsWhole(std::string_view text) {
  std::int32_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return error == std::errc{} && stop == end && number >= 0;
}

// The name may be a secret's, mistyped; numbers and switches are none.
std::string ShownOfUnknown(const std::string& path, const Node& value) {
  switch (value.type) {
    case Node::Type::kNull: return "";
    case Node::Type::kList: return "[...]";
    case Node::Type::kMap: return "{...}";
    case Node::Type::kScalar: break;
  }
  const bool is_word =
      value.plain && (IsWhole(value.text) || value.text == "true" || value.text == "false");
  return is_word && !LooksSecret(path) ? value.text : "***";
}

class Walk {
 public:
  Walk(const Kind& kind, const std::string& where, std::vector<Warning>& warnings)
      : kind_(kind), where_(where), warnings_(warnings) {}

  // `path` is empty for the document itself.
  Status Map(const std::string& path, Node& node) {
    if (node.type != Node::Type::kMap) return WrongType(path, node, "a map");
    for (auto field = node.fields.begin(); field != node.fields.end();) {
      auto& [name, value] = *field;
      const Field* const known = FindChild(kind_, path, name);
      const std::string below = path.empty() ? name : fmt::format("{}.{}", path, name);
      if (known == nullptr) {
        if (warnings_.size() >= kWarningsMax) {
          return Error(Code::kInvalidArgument,
                       fmt::format("{}: more than {} unknown fields; is this the right file?",
                                   Shortened(below), kWarningsMax));
        }
        Unknown(path, below, name, value);
        field = node.fields.erase(field);
        continue;
      }
      if (value.type == Node::Type::kNull) {
        field = node.fields.erase(field);  // As if it was not there, as Kubernetes has it.
        continue;
      }
      if (Status status = Value(below, known->type, value); !status.ok()) return status;
      ++field;
    }
    return {};
  }

 private:
  Status Value(const std::string& path, FieldType type, Node& node) {
    switch (type) {
      case FieldType::kMap: return Map(path, node);
      case FieldType::kList: return List(path, node);
      case FieldType::kOptions: return Scalars(path, node, true);
      case FieldType::kLabels: return Scalars(path, node, false);
      case FieldType::kAny: return {};
      case FieldType::kText:
      case FieldType::kWhole:
      case FieldType::kSwitch:
      case FieldType::kRatio:
      case FieldType::kQuantity: return Scalar(path, type, node);
    }
    return {};
  }

  Status List(const std::string& path, Node& node) {
    if (node.type != Node::Type::kList) return WrongType(path, node, "a list");
    const Field* const item = FindField(kind_, path + "[]");
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      const std::string below = fmt::format("{}[{}]", path, i);
      Status status = Value(below, item->type, node.items[i]);
      if (!status.ok()) return status;
    }
    return {};
  }

  static Status Scalar(const std::string& path, FieldType type, Node& node) {
    if (node.type != Node::Type::kScalar) return WrongType(path, node, "a single value");
    const std::string& text = node.text;
    node.plain = type == FieldType::kWhole || type == FieldType::kSwitch;
    if (type == FieldType::kWhole && !IsWhole(text)) {
      return WrongField(path, text, "not a whole number from 0 on; write one like 3");
    }
    if (type == FieldType::kSwitch && text != "true" && text != "false") {
      return WrongField(path, text, "not a switch; write true or false");
    }
    if (type == FieldType::kRatio) {
      if (const Result<double> ratio = ParseRatio(text); !ratio.ok()) {
        return AtField(path, ratio.error());
      }
    }
    if (type == FieldType::kQuantity) {
      if (const Result<std::uint64_t> bytes = ParseQuantity(text); !bytes.ok()) {
        return AtField(path, bytes.error());
      }
    }
    return {};
  }

  static Status Scalars(const std::string& path, Node& node, bool options) {
    if (node.type != Node::Type::kMap) return WrongType(path, node, "a map of NAME: VALUE");
    for (auto& [name, value] : node.fields) {
      const std::string below = fmt::format("{}.{}", path, name);
      if (value.type == Node::Type::kNull) value.type = Node::Type::kScalar;
      if (value.type != Node::Type::kScalar) return WrongType(below, value, "a single value");
      value.plain = false;  // 0.10 stays "0.10".
      if (!options) continue;
      if ((LooksSecret(name) && !value.text.empty()) || HoldsPassword(value.text)) {
        return Error(Code::kInvalidArgument,
                     fmt::format("{}: a secret in clear (not repeated here); name a Secret in "
                                 "encryptOptions, or leave it to the environment of the workers",
                                 below));
      }
      if (HasControls(name) || HasControls(value.text)) {
        return Error(Code::kInvalidArgument,
                     fmt::format("{}: control characters in it; write plain text", below));
      }
    }
    return {};
  }

  void Unknown(const std::string& path, const std::string& below, const std::string& name,
               const Node& value) {
    const std::vector<std::string_view> known = FieldsBelow(kind_, path);
    warnings_.push_back({where_, below, ShownOfUnknown(below, value),
                         "no such field, so it is left out",
                         fmt::format("the nearest is `{}`", Nearest(name, known))});
  }

  const Kind& kind_;
  const std::string& where_;
  std::vector<Warning>& warnings_;
};

}  // namespace

Error AtField(std::string_view path, const Error& error) {
  return {error.code(), fmt::format("{} {}", path, error.message())};
}

Error WrongField(std::string_view path, std::string_view value, std::string_view message) {
  const std::string_view shown = LooksSecret(path) ? "***" : Shortened(value);
  return {Code::kInvalidArgument, fmt::format("{} \"{}\": {}", path, shown, message)};
}

bool LooksSecret(std::string_view name) {
  std::string small;
  for (const char c : name) small += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  // References to secrets are none themselves.
  for (const std::string_view reference : {"secretkeyref.name", "secretkeyref.key", "].name"}) {
    if (small.ends_with(reference)) return false;
  }
  for (const std::string_view word :
       {"secret", "token", "passw", "passphrase", "private-key", "credential", "encryptoption"}) {
    if (small.find(word) != std::string::npos) return true;
  }
  return false;
}

bool HoldsPassword(std::string_view value) {
  const std::size_t scheme = value.find("://");
  if (scheme == std::string_view::npos) return false;
  const std::string_view host = value.substr(scheme + 3);
  const std::size_t at = host.substr(0, host.find('/')).rfind('@');
  if (at == std::string_view::npos) return false;
  const std::size_t colon = host.find(':');
  return colon < at && colon + 1 < at;
}

Status CheckFields(const Kind& kind, const std::string& where, Node& root,
                   std::vector<Warning>& warnings) {
  return Walk(kind, where, warnings).Map("", root);
}

}  // namespace forebay
