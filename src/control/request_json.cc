#include "control/request_json.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "base/units.h"

namespace forebay {
namespace {

using Json = nlohmann::json;

Error Wrong(const std::string& field, const std::string& what) {
  return {Code::kInvalidArgument, field + ": " + what};
}

Result<Json> ObjectOf(const std::string& body) {
  Json json = Json::parse(body.empty() ? "{}" : body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Wrong("body", "not a JSON object");
  return json;
}

Result<std::string> TextOf(const Json& object, const std::string& field,
                           const std::string& otherwise) {
  const auto found = object.find(field);
  if (found == object.end() || found->is_null()) return otherwise;
  if (!found->is_string()) return Wrong(field, "must be a string");
  return found->get<std::string>();
}

Result<std::uint64_t> NumberOf(const Json& object, const std::string& field,
                               std::uint64_t otherwise) {
  const auto found = object.find(field);
  if (found == object.end() || found->is_null()) return otherwise;
  if (!found->is_number_unsigned()) return Wrong(field, "must be a whole number, 0 or more");
  return found->get<std::uint64_t>();
}

Result<std::map<std::string, std::string>> TextsOf(const Json& object, const std::string& field) {
  std::map<std::string, std::string> texts;
  const auto found = object.find(field);
  if (found == object.end() || found->is_null()) return texts;
  if (!found->is_object()) return Wrong(field, "must be an object of strings");
  for (const auto& [key, value] : found->items()) {
    if (!value.is_string()) return Wrong(field + "." + key, "must be a string");
    texts[key] = value.get<std::string>();
  }
  return texts;
}

Status AddMount(const Json& object, DatasetRequest& request) {
  if (!object.is_object()) return Wrong("mounts", "must be a list of objects");
  Mount mount;
  const Result<std::string> path = TextOf(object, "path", "/");
  const Result<std::string> url = TextOf(object, "url", "");
  const Result<std::map<std::string, std::string>> options = TextsOf(object, "options");
  const Result<std::map<std::string, std::string>> secrets = TextsOf(object, "secrets");
  if (!path.ok()) return Error(path.error()).Within("mounts");
  if (!url.ok()) return Error(url.error()).Within("mounts");
  if (!options.ok()) return Error(options.error()).Within("mounts");
  if (!secrets.ok()) return Error(secrets.error()).Within("mounts");
  mount.path = path.value();
  mount.url = url.value();
  mount.options = options.value();
  for (const auto& [option, value] : secrets.value()) {
    if (!request.secrets) request.secrets.emplace();
    (*request.secrets)[mount.path][option] = Secret(value);
  }
  request.spec.mounts.push_back(std::move(mount));
  return {};
}

Status TakeStaleness(const std::string& text, DatasetSpec& spec) {
  if (text.empty()) return {};
  if (text == "pinned") {
    spec.staleness = DatasetSpec::kPinned;
    return {};
  }
  const Result<std::chrono::milliseconds> bound = ParseDuration(text);
  if (!bound.ok()) {
    return Wrong("staleness \"" + text + "\"", "write a duration such as 60s, 0, or pinned");
  }
  spec.staleness = bound.value();
  return {};
}

Status TakeBlockSize(const std::string& text, DatasetSpec& spec) {
  if (text.empty()) return {};
  const Result<std::uint64_t> bytes = ParseSize(text);
  constexpr std::uint64_t kMost = 64u << 20;  // As the spec takes; and it fits into 32 bits.
  if (!bytes.ok() || bytes.value() > kMost) {
    return Wrong("blockSize \"" + text + "\"", "write a power of two from 64KiB to 64MiB");
  }
  spec.block_bytes = static_cast<std::uint32_t>(bytes.value());
  return {};
}

}  // namespace

Result<std::uint64_t> ParseCount(const std::string& field, const std::string& text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) {
    return Wrong(fmt::format("{} \"{}\"", field, text), "write a whole number, 0 or more");
  }
  return number;
}

Result<DatasetRequest> ParseDatasetRequest(const std::string& body) {
  const Result<Json> object = ObjectOf(body);
  if (!object.ok()) return object.error();
  DatasetRequest request;
  const Result<std::string> name = TextOf(object.value(), "name", "");
  const Result<std::string> name_space = TextOf(object.value(), "namespace", "default");
  const Result<std::string> staleness = TextOf(object.value(), "staleness", "");
  const Result<std::string> block_size = TextOf(object.value(), "blockSize", "");
  for (const Result<std::string>* text : {&name, &name_space, &staleness, &block_size}) {
    if (!text->ok()) return text->error();
  }
  request.spec.name = name.value();
  request.spec.namespace_name = name_space.value();
  Status taken = TakeStaleness(staleness.value(), request.spec);
  if (taken.ok()) taken = TakeBlockSize(block_size.value(), request.spec);
  const auto mounts = object.value().find("mounts");
  if (taken.ok() && (mounts == object.value().end() || !mounts->is_array() || mounts->empty())) {
    taken =
        Wrong("mounts", "name at least one: [{\"path\": \"/\", \"url\": \"s3://BUCKET/PREFIX\"}]");
  }
  if (!taken.ok()) return std::move(taken).error();
  for (const Json& mount : *mounts) {
    Status added = AddMount(mount, request);
    if (!added.ok()) return std::move(added).error();
  }
  return request;
}

Result<WaitRequest> ParseWaitRequest(const std::map<std::string, std::string>& query) {
  WaitRequest wait;
  for (const auto& [key, value] : query) {
    if (key == "cached") {
      const Result<double> ratio = ParseRatio(value);
      if (!ratio.ok()) return Error(ratio.error()).Within("cached");
      wait.cached = ratio.value();
    } else if (key == "path") {
      wait.path = value;
    } else if (key == "workers") {
      const Result<std::uint64_t> workers = ParseCount("workers", value);
      if (!workers.ok()) return workers.error();
      constexpr std::uint64_t kMost = 1u << 20;  // More than there can be.
      wait.workers = static_cast<std::uint32_t>(std::min(workers.value(), kMost));
    } else if (key == "timeout") {
      const Result<std::chrono::milliseconds> timeout = ParseDuration(value);
      if (!timeout.ok()) return Error(timeout.error()).Within("timeout");
      wait.timeout = timeout.value();
    }
  }
  if (!wait.cached && wait.workers == 0) {
    return Wrong("wait", "say what for: cached=0.95 or workers=N");
  }
  return wait;
}

Result<std::vector<std::string>> ParsePaths(const std::string& body) {
  const Result<Json> object = ObjectOf(body);
  if (!object.ok()) return object.error();
  std::vector<std::string> paths;
  const Result<std::string> path = TextOf(object.value(), "path", "/");
  if (!path.ok()) return path.error();
  if (path.value() != "/" && !path.value().empty()) paths.push_back(path.value());
  const auto list = object.value().find("paths");
  if (list == object.value().end() || list->is_null()) return paths;
  if (!list->is_array()) return Wrong("paths", "must be a list of strings");
  for (const Json& entry : *list) {
    if (!entry.is_string()) return Wrong("paths", "must be a list of strings");
    if (entry.get<std::string>() == "/") return std::vector<std::string>();
    paths.push_back(entry.get<std::string>());
  }
  return paths;
}

Result<LoadTarget> ParseLoadRequest(const std::string& body) {
  const Result<Json> object = ObjectOf(body);
  if (!object.ok()) return object.error();
  const Result<std::string> dataset = TextOf(object.value(), "dataset", "");
  const Result<std::string> name_space = TextOf(object.value(), "namespace", "default");
  const Result<std::uint64_t> throttle = NumberOf(object.value(), "throttle", 0);
  const Result<std::uint64_t> replicas = NumberOf(object.value(), "replicas", 1);
  Result<std::vector<std::string>> paths = ParsePaths(body);
  if (!dataset.ok()) return dataset.error();
  if (!name_space.ok()) return name_space.error();
  if (!throttle.ok()) return throttle.error();
  if (!replicas.ok()) return replicas.error();
  if (!paths.ok()) return std::move(paths).error();
  if (dataset.value().empty()) return Wrong("dataset", "name one");
  constexpr std::uint64_t kReplicasMax = 64;  // As many holders as a ring works out.
  if (replicas.value() < 1 || replicas.value() > kReplicasMax) {
    return Wrong(fmt::format("replicas \"{}\"", replicas.value()), "write a number from 1 to 64");
  }
  return LoadTarget{.dataset = {name_space.value(), dataset.value()},
                    .paths = std::move(paths).value(),
                    .replicas = static_cast<std::uint32_t>(replicas.value()),
                    .bytes_per_second_max = throttle.value()};
}

Result<ApplyRequest> ParseApplyRequest(const std::string& body) {
  const Result<Json> object = ObjectOf(body);
  if (!object.ok()) return object.error();
  Result<std::string> documents = TextOf(object.value(), "documents", "");
  Result<std::string> source = TextOf(object.value(), "source", "documents");
  if (!documents.ok()) return std::move(documents).error();
  if (!source.ok()) return std::move(source).error();
  const auto dry_run = object.value().find("dryRun");
  if (dry_run != object.value().end() && !dry_run->is_boolean()) {
    return Wrong("dryRun", "must be true or false");
  }
  return ApplyRequest{std::move(documents).value(), std::move(source).value(),
                      dry_run != object.value().end() && dry_run->get<bool>()};
}

}  // namespace forebay
