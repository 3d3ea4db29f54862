// The documents people write, as what they mean to us: Datasets and Runtimes of Fluid's API
// (data.fluid.io/v1alpha1). Their stored form is in docs/formats/documents.md.
//
// Invariant: a spec that ParseDocuments, Validated or DatasetFromJson returned is complete (every
// default is filled in), consistent, and free of secrets in clear.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "core/store_options.h"

namespace forebay {

struct SecretRef {
  std::string option;  // Of the store, by our name where we know it.
  // "file:PATH", "env:NAME", or "secret:NAME/KEY": a Kubernetes Secret of the dataset's namespace.
  std::string source;
  bool operator==(const SecretRef&) const = default;
};

struct Mount {
  std::string path = "/";  // In the dataset's tree: "/", or "/a/b" without a '/' at the end.
  std::string url = {};
  OptionMap options = {};        // By our names; shared options are merged in.
  OptionMap other_options = {};  // As written: known to other engines only, without effect here.
  std::vector<SecretRef> secrets = {};
  bool read_only = false;  // Written so; a dataset that is not writable makes all mounts so.
  bool operator==(const Mount&) const = default;
};

struct DatasetSpec {
  static constexpr std::chrono::milliseconds kPinned = std::chrono::milliseconds::max();
  static constexpr std::uint32_t kBlockBytesDefault = 4u << 20;

  std::string name;
  std::string namespace_name = "default";
  std::vector<Mount> mounts;  // None: the dataset stays NotBound.
  // Validated fills it in: 1 s if writable, else 60 s. kPinned: a snapshot.
  std::optional<std::chrono::milliseconds> staleness;
  std::uint32_t block_bytes = kBlockBytesDefault;  // A power of two, 64 KiB to 64 MiB.
  std::vector<std::string> access_modes;           // Validated makes none ReadOnlyMany.
  // The document as it was written, as JSON with sorted keys; without `status`, unknown fields and
  // what an API server adds. Empty if there was no document.
  std::string written;

  bool writable() const;
  bool operator==(const DatasetSpec&) const = default;
};

struct TierLevel {
  std::string medium = {};              // "MEM", "SSD" or "HDD".
  std::vector<std::string> paths = {};  // May be empty.
  std::uint64_t quota_bytes = 0;        // Of all paths together, a worker; 0: not said.
  std::vector<std::uint64_t> quota_list_bytes = {};  // One a path, or empty.
  std::optional<double> high = {};
  std::optional<double> low = {};
  std::string volume_type = {};  // "hostPath", "emptyDir", "volumeTemplate" or "".
  bool operator==(const TierLevel&) const = default;
};

// One engine serves all kinds. A runtime belongs to the dataset of its name and namespace.
struct RuntimeSpec {
  std::string kind;  // "JuiceFSRuntime".
  std::string name;
  std::string namespace_name = "default";
  std::optional<std::uint32_t> replicas;  // Not said: as many workers as there are.
  std::vector<TierLevel> levels;
  OptionMap options;    // Of the workers, as written: other engines', without effect here.
  std::string written;  // As in DatasetSpec.

  // Quotas of the memory levels, a worker; 0 if none is given.
  std::uint64_t memory_bytes() const;
  bool operator==(const RuntimeSpec&) const = default;
};

struct Document {
  std::variant<DatasetSpec, RuntimeSpec> spec;
  std::string where;    // "FILE: document 2 (JuiceFSRuntime prices)".
  std::string written;  // As in the spec, with the fields in the order in which they were written.
};

// Something taken, but not as its author may think.
struct Warning {
  std::string document;  // As Document::where.
  std::string path;      // "spec.mounts[0].mountpoint".
  std::string value;     // "***" if it may be a secret; "[...]" or "{...}".
  std::string message;   // What is wrong.
  std::string remedy;    // What would do.
};

struct ParsedDocuments {
  std::vector<Document> documents;
  std::vector<Warning> warnings;
};

// All documents of a YAML stream (JSON is YAML); `source` is the file's name, for messages.
// Any error refuses the whole stream.
// Errors: kInvalidArgument: `FILE: document 1 (Dataset prices): spec.mounts[0].mountPoint "s3:/b":
// not a URL; write s3://BUCKET/PREFIX`. Beyond fields also: no document, the same object twice, two
// runtimes of one dataset, datasets that mount each other, and the limits of ParseYaml.
Result<ParsedDocuments> ParseDocuments(const std::string& yaml, const std::string& source);

// `spec` with every default filled in and its paths normalised.
// Errors: kInvalidArgument: `spec.mounts[0].path "a": ...; write ...`.
Result<DatasetSpec> Validated(DatasetSpec spec);

// The stored form; equal specs have equal texts, and nothing is lost.
std::string ToJson(const DatasetSpec& spec);
std::string ToJson(const RuntimeSpec& spec);
// Errors: kInvalidArgument: not what ToJson writes, or not valid any more.
Result<DatasetSpec> DatasetFromJson(const std::string& json);
Result<RuntimeSpec> RuntimeFromJson(const std::string& json);

// How kubectl names it: "dataset.data.fluid.io/NAME".
inline std::string DatasetObject(const std::string& name) {
  return "dataset.data.fluid.io/" + name;
}

// Why a dataset cannot be bound, whatever the group does.
struct NotBoundReason {
  std::string reason;   // "JuiceFSCloudVolume", "SchemeNotSupported", "NoMounts".
  std::string message;  // Names the mount, and what to do now.
};
std::optional<NotBoundReason> NotBound(const DatasetSpec& spec);

}  // namespace forebay
