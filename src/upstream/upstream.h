// Upstream: an under-storage behind one interface. One implementation per kind of store.
//
// Invariant: Read yields bytes of exactly the version it was asked for, or an error. What is not
// proven to be of that version is never handed on as a success.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/result.h"
#include "base/secret.h"
#include "core/store_options.h"

namespace forebay {

enum class FileType : std::uint8_t { kFile = 1, kDirectory = 2 };

struct Attributes {
  FileType type = FileType::kFile;
  std::uint64_t size = 0;     // Bytes; 0 for a directory.
  std::int64_t mtime_ns = 0;  // Nanoseconds since 1970, UTC; 0 where the store has none.
  // Opaque tag of this version; empty for a directory. S3: the ETag, quotes included; without a
  // strong one "m:" Last-Modified ":" size. POSIX: "p:" size ":" mtime_ns ":" ctime_ns.
  // Last-Modified is in seconds since 1970, as HEAD and LIST write it differently.
  std::string version;

  bool operator==(const Attributes&) const = default;
};

struct Entry {
  std::string name;  // One component: no '/', never empty, "." or "..".
  Attributes attributes;
};

struct ListPage {
  std::vector<Entry> entries;
  std::string next;  // Pass as `after` for the next page; opaque; empty on the last one.
  // What a tree cannot show, counted, not listed. S3: names that are empty, "." or ".."; POSIX:
  // special files, and links to nowhere or out of the tree.
  std::uint64_t left_out = 0;
};

struct ReadRange {
  std::string path;
  std::string version;
  std::uint64_t file_size = 0;  // Of that version: a mismatch is kChanged.
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  // offset + length <= file_size; > 0.
};

struct ReadOutcome {
  // False for a POSIX file, or an S3 object without an ETag, that was changed less than 2 s ago:
  // its tag may not tell the next version from this one, so the bytes may be served but not kept.
  bool cacheable = true;
};

class ByteSink {
 public:
  virtual ~ByteSink() = default;
  // Takes the next bytes, in order. An error ends the read with that error.
  virtual Status Write(std::span<const std::byte> bytes) = 0;
};

// Paths are relative to the store: an S3 key taken literally (never normalised), or a path below
// the root of a posix tree. A directory is "" or ends in '/'.
//
// Thread safety: safe; calls run in parallel.
// Errors of every call: kNotFound, kDenied, kUnavailable (after retries within the deadline),
// kDeadlineExceeded, kCancelled (within 100 ms of the stop; posix: between two system calls),
// kInvalidArgument, kInternal, and kChanged of Read.
class Upstream {
 public:
  virtual ~Upstream() = default;

  // Whether bytes of the file that Read has written are known to be of the version asked for as
  // soon as they are written (S3: the response's ETag precedes them), or only once Read has
  // succeeded (posix).
  virtual bool ProvenWhileStreaming(const std::string& path) const = 0;

  // Whether the store can have a file at `path` and others below it as if it were a directory, as
  // S3 can.
  virtual bool MayBeBoth(const std::string& /*path*/) const { return false; }

  // The file at exactly `path`, else the directory of that name, else kNotFound. "" is a directory
  // if the store exists; so is an S3 key "x/" without bytes.
  virtual Result<Attributes> Stat(const std::string& path, Deadline deadline,
                                  std::stop_token stop) = 0;

  // One page of the names directly below `directory`, in byte order, directories included. A name
  // that is both a file and a directory is shown as the directory. At most 1,000 entries a page; a
  // page may be empty and not the last one.
  virtual Result<ListPage> List(const std::string& directory, const std::string& after,
                                Deadline deadline, std::stop_token stop) = 0;

  // Streams `range` into `sink`. On success exactly range.length bytes were written. On an error
  // some prefix may have been written and is not to be trusted: a posix file is known to have been
  // stable only at the end. kChanged: the store no longer has that version.
  virtual Result<ReadOutcome> Read(const ReadRange& range, ByteSink& sink, Deadline deadline,
                                   std::stop_token stop) = 0;
};

// From when on, in nanoseconds since 1970, the version tag of a file with `attributes` tells it
// from every later one: a tag made of times does so only once the clock has certainly moved on (2
// s). 0 for tags that always do. Pure.
std::int64_t SettledAtNanoseconds(const Attributes& attributes);

// Where a URL points: the store, and the path in it.
struct Location {
  std::string scheme;  // "s3" or "file".
  std::string bucket;  // Empty for "file".
  std::string path;    // "" is the root. For file:///a/b it is "a/b".
};

// Parses "s3://BUCKET/KEY" (the key literally: no percent decoding), "file:///DIR" and
// "local:///DIR". Errors: kInvalidArgument, with the value and what would do.
Result<Location> ParseLocation(const std::string& url);

// The URL that ParseLocation takes back to `location`.
std::string UrlOf(const Location& location);

struct UpstreamOptions {
  // "http://host:port": lower case, no default port, no '/' at the end. Empty: the public one of
  // `region`.
  std::string endpoint;
  std::string region = "us-east-1";
  // Unset: virtual-host style, but path style where the endpoint is an address or a name without
  // dots, or the bucket's name cannot be part of a host's name.
  std::optional<bool> path_style;
  bool anonymous = false;
  bool requester_pays = false;
  std::uint32_t max_connections = 64;
  std::string ca_bundle;  // PEM file; empty: the system's.
  // Labels in metrics; without a dataset the store's name.
  std::string dataset;
  std::string name_space;
  std::string access_key_id;
  Secret secret_access_key;
  Secret session_token;
};

// Options from `options`, then the environment and the ~/.aws profile for what is absent there.
// `environment` is the process's: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION,
// AWS_DEFAULT_REGION, AWS_PROFILE, AWS_CA_BUNDLE, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
// AWS_SESSION_TOKEN, AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE, HOME.
// Errors: kInvalidArgument naming an unknown option or a bad value and what would do.
Result<UpstreamOptions> ResolveOptions(const OptionMap& options,
                                       const std::map<std::string, std::string>& environment);

// What identifies the store of `location`: "file:" or "ENDPOINT/BUCKET". Its DigestOf is the
// dataset uid of a bare URL; also the `dataset` label in metrics.
std::string StoreName(const Location& location, const UpstreamOptions& options);

// The implementation for `location`'s store. For "file", its path is the root: paths are relative
// to it, and nothing leads out of it. Does not touch the network.
Result<std::unique_ptr<Upstream>> MakeUpstream(const Location& location,
                                               const UpstreamOptions& options);

}  // namespace forebay
