#include "spec/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/nearest.h"
#include "spec/build.h"
#include "spec/fields.h"
#include "spec/mount_url.h"
#include "spec/node.h"
#include "spec/schema.h"

namespace forebay {
namespace {

constexpr std::string_view kApi = "data.fluid.io/v1alpha1";
// Known to us, and not accepted by this version.
constexpr auto kLaterKinds = std::to_array<std::string_view>(
    {"CacheRuntimeClass", "CronHorizontalPodAutoscaler", "DataBackup", "DataLoad", "DataMigrate",
     "DataProcess", "ScalePolicy", "ThinRuntimeProfile"});

Error Wrong(std::string message) {
  return {Code::kInvalidArgument, std::move(message)};
}

// The text of a top-level field, "" if it is not there.
Result<std::string> TopText(const Node& root, const std::string& field) {
  const Node* const node = root.Find(field);
  if (node == nullptr) return Wrong(fmt::format("{}: missing", field));
  if (node->type != Node::Type::kScalar) return Wrong(field + ": write a single value");
  return node->text;
}

Result<const Kind*> KindOf(const Node& root) {
  const Result<std::string> name = TopText(root, "kind");
  if (!name.ok()) return Wrong(name.error().message() + "; accepted are " + KindNames());
  if (std::ranges::find(kLaterKinds, name.value()) != kLaterKinds.end()) {
    return WrongField("kind", name.value(),
                      "not accepted by this version; accepted now are " + KindNames());
  }
  const Kind* const kind = FindKind(name.value());
  if (kind == nullptr) {
    return WrongField("kind", name.value(), "unknown; accepted are " + KindNames());
  }
  const Result<std::string> api = TopText(root, "apiVersion");
  if (!api.ok()) return Wrong(fmt::format("{}; write {}", api.error().message(), kApi));
  if (api.value() != kApi) {
    return WrongField("apiVersion", api.value(), fmt::format("write {}", kApi));
  }
  return kind;
}

// Without what a system adds by itself, so that the same wish is the same text.
Node OnlyWishes(Node root) {
  constexpr auto kKept =
      std::to_array<std::string_view>({"name", "namespace", "labels", "annotations"});
  std::erase_if(root.fields, [](const auto& field) { return field.name == "status"; });
  for (auto& [name, value] : root.fields) {
    if (name != "metadata") continue;
    std::erase_if(value.fields, [&kKept](const auto& field) {
      return std::ranges::find(kKept, field.name) == kKept.end();
    });
  }
  return root;
}

// Fills in `document` but for the spec's `written`. `document.where` is refined on the way, so that
// an error can be told where it is.
Status ReadInto(Node& root, Document& document, std::vector<Warning>& warnings) {
  if (root.type != Node::Type::kMap) {
    return Wrong("not a map; write apiVersion, kind, metadata and spec");
  }
  const Result<const Kind*> kind = KindOf(root);
  if (!kind.ok()) return kind.error();
  const Node* const name = root.At("metadata", "name");
  document.where += name == nullptr
                        ? fmt::format(" ({})", kind.value()->name)
                        : fmt::format(" ({} {})", kind.value()->name, Shortened(name->text));
  if (Status checked = CheckFields(*kind.value(), document.where, root, warnings); !checked.ok()) {
    return checked;
  }
  if (kind.value()->name == "Dataset") {
    Result<DatasetSpec> spec = BuildDataset(root, document.where, warnings);
    if (!spec.ok()) return spec.error();
    document.spec = std::move(spec).value();
  } else {
    Result<RuntimeSpec> spec = BuildRuntime(std::string(kind.value()->name), root);
    if (!spec.ok()) return spec.error();
    document.spec = std::move(spec).value();
  }
  document.written = JsonOf(root);
  const std::string written = CanonicalJson(JsonOf(OnlyWishes(std::move(root))));
  std::visit([&written](auto& spec) { spec.written = written; }, document.spec);
  return {};
}

std::string FullName(const Document& document) {
  return std::visit([](const auto& spec) { return spec.namespace_name + '/' + spec.name; },
                    document.spec);
}

// One dataset and one runtime of a name.
Status CheckNamesOnce(const std::vector<Document>& documents) {
  std::map<std::pair<bool, std::string>, const Document*> seen;
  for (const Document& document : documents) {
    const bool is_dataset = std::holds_alternative<DatasetSpec>(document.spec);
    const auto [found, added] = seen.emplace(std::pair{is_dataset, FullName(document)}, &document);
    if (added) continue;
    return Wrong(fmt::format("{}: metadata.name \"{}\": {} is {} of that name too; keep one",
                             document.where, FullName(document), found->second->where,
                             is_dataset ? "a Dataset" : "a runtime"));
  }
  return {};
}

// Follows dataset:// from dataset to dataset.
class CycleSearch {
 public:
  explicit CycleSearch(const std::vector<Document>& documents) {
    for (const Document& document : documents) {
      if (std::holds_alternative<DatasetSpec>(document.spec)) {
        by_name_[FullName(document)] = &document;
      }
    }
  }

  Status Run() {
    for (const auto& [name, document] : by_name_) {
      if (Status status = Visit(name, *document); !status.ok()) return status;
    }
    return {};
  }

 private:
  // Recursion is as deep as there are documents in a file.
  Status Visit(const std::string& name, const Document& document) {
    if (done_.contains(name)) return {};
    trail_.push_back(name);
    const auto& mounts = std::get<DatasetSpec>(document.spec).mounts;
    for (std::size_t i = 0; i < mounts.size(); ++i) {
      const Result<MountUrl> url = CheckedUrl(mounts[i].url);
      if (!url.ok() || url.value().dataset.empty()) continue;
      const std::string& next = url.value().dataset;
      if (const auto start = std::ranges::find(trail_, next); start != trail_.end()) {
        const std::vector<std::string> cycle(start, trail_.end());
        return Wrong(fmt::format(
            "{}: spec.mounts[{}].mountPoint \"{}\": datasets mount each other: {} -> {}; name a "
            "store instead",
            document.where, i, mounts[i].url, fmt::join(cycle, " -> "), next));
      }
      const auto found = by_name_.find(next);
      if (found == by_name_.end()) continue;
      if (Status status = Visit(next, *found->second); !status.ok()) return status;
    }
    trail_.pop_back();
    done_.insert(name);
    return {};
  }

  std::map<std::string, const Document*> by_name_;
  std::vector<std::string> trail_;
  std::set<std::string> done_;
};

}  // namespace

Result<ParsedDocuments> ParseDocuments(const std::string& yaml, const std::string& source) {
  Result<std::vector<Node>> roots = ParseYaml(yaml);
  if (!roots.ok()) return std::move(roots).error().Within(source);
  ParsedDocuments parsed;
  for (std::size_t i = 0; i < roots.value().size(); ++i) {
    Node& root = roots.value()[i];
    if (root.type == Node::Type::kNull) continue;
    Document document;
    document.where = fmt::format("{}: document {}", source, i + 1);
    Status read = ReadInto(root, document, parsed.warnings);
    if (!read.ok()) return std::move(read).error().Within(document.where);
    parsed.documents.push_back(std::move(document));
  }
  if (parsed.documents.empty()) {
    return Wrong(fmt::format("{}: no document in it; write one of {}", source, KindNames()));
  }
  if (Status once = CheckNamesOnce(parsed.documents); !once.ok()) return once.error();
  if (Status cycles = CycleSearch(parsed.documents).Run(); !cycles.ok()) return cycles.error();
  return parsed;
}

}  // namespace forebay
