#include "cluster/members.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <string_view>

#include "base/units.h"
#include "core/ring.h"
#include "io/socket.h"

namespace forebay {
namespace {

constexpr std::size_t kFileBytesMax = 1u << 20;
constexpr std::size_t kNameBytesMax = 63;
constexpr std::uint64_t kBlockBytesMin = 64u << 10;
constexpr std::uint64_t kBlockBytesMax = 64u << 20;
// Of what a message repeats of a foreign file.
constexpr std::size_t kQuotedBytesMax = 80;

constexpr std::string_view kSecrets[] = {"secret-access-key", "session-token"};

Error Wrong(const std::string& field, std::string value, const std::string& remedy) {
  if (value.size() > kQuotedBytesMax) value = value.substr(0, kQuotedBytesMax) + "...";
  return Error(Code::kInvalidArgument, field + " \"" + value + "\": " + remedy);
}

// The scalar of `node`; a field that holds a list or a map instead is named.
Result<std::string> Scalar(const YAML::Node& node, const std::string& field) {
  if (!node.IsScalar()) return Error(Code::kInvalidArgument, field + ": write a single value");
  return node.Scalar();
}

// The keys of the map `node`, each once and each one of `known`.
template <std::size_t kCount>
Status CheckKeys(const YAML::Node& node, const std::string& field,
                 const std::array<std::string_view, kCount>& known) {
  std::set<std::string> seen;
  for (const auto& pair : node) {
    Result<std::string> key = Scalar(pair.first, field + ": a key");
    if (!key.ok()) return key.error();
    if (std::find(known.begin(), known.end(), key.value()) == known.end()) {
      std::string choices;
      for (const std::string_view choice : known) {
        choices += (choices.empty() ? "" : ", ") + std::string(choice);
      }
      return Wrong(field + ": key", key.value(), "unknown; known are " + choices);
    }
    if (!seen.insert(key.value()).second) {
      return Wrong(field + ": key", key.value(), "repeats; write it once");
    }
  }
  return {};
}

bool IsNameByte(char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
         (byte >= '0' && byte <= '9') || byte == '.' || byte == '_' || byte == '-';
}

Result<std::uint32_t> ParseWeight(const std::string& text, const std::string& field) {
  std::uint32_t weight = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), weight);
  if (error != std::errc{} || end != text.data() + text.size() || weight < 1 ||
      weight > Ring::kWeightMax) {
    return Wrong(field, text, "write a whole number from 1 to 1000");
  }
  return weight;
}

Result<Member> ParseMember(const YAML::Node& node, const std::string& field) {
  if (!node.IsMap()) {
    return Error(Code::kInvalidArgument, field + ": write {name: NAME, address: HOST:PORT}");
  }
  static constexpr std::array<std::string_view, 3> kKeys = {"name", "address", "weight"};
  if (Status keys = CheckKeys(node, field, kKeys); !keys.ok()) return keys.error();
  Member member;
  if (!node["name"]) return Error(Code::kInvalidArgument, field + ".name: missing");
  Result<std::string> name = Scalar(node["name"], field + ".name");
  if (!name.ok()) return name.error();
  member.name = name.value();
  if (member.name.empty() || member.name.size() > kNameBytesMax ||
      !std::all_of(member.name.begin(), member.name.end(), IsNameByte)) {
    return Wrong(field + ".name", member.name,
                 "write 1 to 63 of letters, digits, '.', '_' and '-'");
  }
  if (!node["address"]) return Error(Code::kInvalidArgument, field + ".address: missing");
  Result<std::string> address = Scalar(node["address"], field + ".address");
  if (!address.ok()) return address.error();
  member.address = address.value();
  if (Result<Address> parsed = ParseAddress(member.address); !parsed.ok()) {
    return std::move(parsed).error().Within(field + ".address");
  }
  if (node["weight"]) {
    Result<std::string> text = Scalar(node["weight"], field + ".weight");
    if (!text.ok()) return text.error();
    Result<std::uint32_t> weight = ParseWeight(text.value(), field + ".weight");
    if (!weight.ok()) return weight.error();
    member.weight = weight.value();
  }
  return member;
}

Result<std::vector<Member>> ParseList(const YAML::Node& node) {
  if (node.IsNull()) return std::vector<Member>{};
  if (!node.IsSequence()) {
    return Error(Code::kInvalidArgument, "members: write a list of {name, address}");
  }
  if (node.size() > Ring::kMembersMax) {
    return Error(Code::kInvalidArgument, "members: " + std::to_string(node.size()) +
                                             " of them; at most " +
                                             std::to_string(Ring::kMembersMax));
  }
  std::vector<Member> members;
  std::set<std::string> names;
  std::set<std::string> addresses;
  for (std::size_t i = 0; i < node.size(); ++i) {
    const std::string field = "members[" + std::to_string(i) + "]";
    Result<Member> member = ParseMember(node[i], field);
    if (!member.ok()) return member.error();
    if (!names.insert(member.value().name).second) {
      return Wrong(field + ".name", member.value().name, "repeats; every member needs its own");
    }
    if (!addresses.insert(member.value().address).second) {
      return Wrong(field + ".address", member.value().address,
                   "repeats; every member needs its own");
    }
    members.push_back(std::move(member).value());
  }
  return members;
}

Status ParseOptions(const YAML::Node& node, std::map<std::string, std::string>& options) {
  if (node.IsNull()) return {};
  if (!node.IsMap()) return Error(Code::kInvalidArgument, "options: write a map of NAME: VALUE");
  for (const auto& pair : node) {
    Result<std::string> key = Scalar(pair.first, "options: a key");
    if (!key.ok()) return key.error();
    if (std::find(std::begin(kSecrets), std::end(kSecrets), key.value()) != std::end(kSecrets)) {
      // Its value is not repeated here.
      return Error(Code::kInvalidArgument,
                   "options." + key.value() +
                       ": a secret does not belong into a members file; set "
                       "AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN in the environment");
    }
    Result<std::string> value = Scalar(pair.second, "options." + key.value());
    if (!value.ok()) return value.error();
    if (!options.emplace(key.value(), value.value()).second) {
      return Wrong("options: key", key.value(), "repeats; write it once");
    }
  }
  return {};
}

Status ParseAllow(const YAML::Node& node, std::vector<std::string>& allow) {
  if (node.IsNull()) return {};
  if (!node.IsSequence()) {
    return Error(Code::kInvalidArgument, "allow: write a list of URL prefixes");
  }
  for (std::size_t i = 0; i < node.size(); ++i) {
    const std::string field = "allow[" + std::to_string(i) + "]";
    Result<std::string> prefix = Scalar(node[i], field);
    if (!prefix.ok()) return prefix.error();
    if (prefix.value().find("://") == std::string::npos) {
      return Wrong(field, prefix.value(), "write a URL prefix, such as s3://BUCKET/PREFIX");
    }
    allow.push_back(std::move(prefix).value());
  }
  return {};
}

Result<std::uint32_t> ParseBlockSize(const YAML::Node& node) {
  Result<std::string> text = Scalar(node, "blockSize");
  if (!text.ok()) return text.error();
  Result<std::uint64_t> size = ParseSize(text.value());
  if (!size.ok()) return std::move(size).error().Within("blockSize");
  if (size.value() < kBlockBytesMin || size.value() > kBlockBytesMax ||
      (size.value() & (size.value() - 1)) != 0) {
    return Wrong("blockSize", text.value(), "write a power of two from 64KiB to 64MiB");
  }
  return static_cast<std::uint32_t>(size.value());
}

Result<MembersFile> ParseMap(const YAML::Node& root) {
  static constexpr std::array<std::string_view, 5> kKeys = {"members", "blockSize", "staleness",
                                                            "options", "allow"};
  if (Status keys = CheckKeys(root, "members file", kKeys); !keys.ok()) return keys.error();
  MembersFile file;
  if (root["members"]) {
    Result<std::vector<Member>> members = ParseList(root["members"]);
    if (!members.ok()) return members.error();
    file.members = std::move(members).value();
  }
  if (root["blockSize"]) {
    Result<std::uint32_t> size = ParseBlockSize(root["blockSize"]);
    if (!size.ok()) return size.error();
    file.block_bytes = size.value();
  }
  if (root["staleness"]) {
    Result<std::string> text = Scalar(root["staleness"], "staleness");
    if (!text.ok()) return text.error();
    Result<std::chrono::milliseconds> bound = ParseDuration(text.value());
    if (!bound.ok()) return std::move(bound).error().Within("staleness");
    file.staleness = bound.value();
  }
  if (root["options"]) {
    if (Status options = ParseOptions(root["options"], file.options); !options.ok()) {
      return options.error();
    }
  }
  if (root["allow"]) {
    if (Status allow = ParseAllow(root["allow"], file.allow); !allow.ok()) return allow.error();
  }
  return file;
}

Result<MembersFile> ParseRoot(const YAML::Node& root) {
  if (root.IsMap()) return ParseMap(root);
  if (root.IsSequence()) {
    Result<std::vector<Member>> members = ParseList(root);
    if (!members.ok()) return members.error();
    MembersFile file;
    file.members = std::move(members).value();
    return file;
  }
  return Error(Code::kInvalidArgument,
               "members file: write a list of {name, address}, or a map with `members`; [] is the "
               "group without workers");
}

}  // namespace

Result<MembersFile> ParseMembers(const std::string& yaml) {
  if (yaml.size() > kFileBytesMax) {
    return Error(Code::kInvalidArgument, "members file: " + std::to_string(yaml.size()) +
                                             " bytes; at most " + std::to_string(kFileBytesMax));
  }
  try {
    return ParseRoot(YAML::Load(yaml));
  } catch (const YAML::Exception& exception) {
    return Error(Code::kInvalidArgument, std::string("members file: ") + exception.what());
  }
}

Result<MembersFile> ReadMembersFile(const std::string& path) {
  errno = 0;
  std::ifstream stream(path, std::ios::binary);
  std::string text(kFileBytesMax + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!stream.is_open() || stream.bad()) {
    const int cause = errno;
    return Error(cause == ENOENT || cause == ENOTDIR ? Code::kNotFound : Code::kDenied,
                 "members file \"" + path + "\": " + std::strerror(cause) +
                     "; name a file that can be read");
  }
  text.resize(static_cast<std::size_t>(stream.gcount()));
  Result<MembersFile> file = ParseMembers(text);
  if (!file.ok()) return std::move(file).error().Within("\"" + path + "\"");
  return file;
}

}  // namespace forebay
