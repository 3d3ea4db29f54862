#include "upstream/s3.h"

#include <fmt/format.h>

#include <charconv>

#include "upstream/read_range.h"
#include "upstream/s3_fold.h"
#include "upstream/s3_range.h"
#include "upstream/s3_version.h"

namespace forebay {

struct ListRequest {
  std::string prefix;
  std::string start_after;
  std::string token;
  std::uint32_t keys_max = 0;
  bool with_delimiter = true;
};

namespace {

// Leaves room in a page of 1,000 for directories that are asked for at its end.
constexpr std::uint32_t kPageKeysMax = 900;

class BodyReceiver final : public S3Receiver {
 public:
  std::optional<S3Failure> OnHead(const HttpHead& head) override {
    head_ = head;
    return std::nullopt;
  }
  std::optional<S3Failure> OnBody(std::span<const std::byte> bytes) override {
    if (body_.size() + bytes.size() > kXmlBytesMax) {
      return Retryable("an answer longer than 32 MiB");
    }
    body_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return std::nullopt;
  }
  const HttpHead& head() const { return head_; }
  const std::string& body() const { return body_; }

 private:
  HttpHead head_;
  std::string body_;
};

class HeadReceiver final : public S3Receiver {
 public:
  std::optional<S3Failure> OnHead(const HttpHead& head) override {
    const std::string* length = head.Find("content-length");
    std::uint64_t size = 0;
    if (length == nullptr ||
        std::from_chars(length->data(), length->data() + length->size(), size).ptr !=
            length->data() + length->size()) {
      return Retryable("the store does not say how long the object is");
    }
    attributes = AttributesOf(head, size);
    if (attributes.version.empty()) {
      return S3Failure{.error = Error(Code::kInternal,
                                      "the store gives neither ETag nor Last-Modified: versions "
                                      "cannot be told apart")};
    }
    return std::nullopt;
  }
  std::optional<S3Failure> OnBody(std::span<const std::byte>) override { return std::nullopt; }

  Attributes attributes;
};

// Passes the bytes of a ranged read on to its sink, across attempts.
class RangeReceiver final : public S3Receiver {
 public:
  RangeReceiver(const ReadRange& range, ByteSink& sink) : range_(range), sink_(sink) {}

  std::uint64_t offset() const { return range_.offset + delivered_; }
  std::uint64_t left() const { return range_.length - delivered_; }
  std::uint64_t delivered() const { return delivered_; }
  bool cacheable() const { return cacheable_; }

  std::optional<S3Failure> OnHead(const HttpHead& head) override {
    cacheable_ = cacheable_ && TellsVersionsApart(head);
    return CheckRangeAnswer(head, range_, offset(), left());
  }
  std::optional<S3Failure> OnBody(std::span<const std::byte> bytes) override {
    if (bytes.size() > left()) {
      // What was delivered came from a store that miscounts; starting anew is the caller's choice.
      return S3Failure{.error =
                           Error(Code::kUnavailable, "the store sent more bytes than it promised")};
    }
    if (Status written = sink_.Write(bytes); !written.ok()) {
      return S3Failure{.error = std::move(written).error()};
    }
    delivered_ += bytes.size();
    return std::nullopt;
  }

 private:
  const ReadRange& range_;
  ByteSink& sink_;
  std::uint64_t delivered_ = 0;
  bool cacheable_ = true;
};

}  // namespace

Result<std::unique_ptr<Upstream>> S3Upstream::Create(const std::string& bucket,
                                                     const UpstreamOptions& options,
                                                     const Labels& store) {
  Result<S3Address> address = AddressOf(bucket, options);
  if (!address.ok()) return std::move(address).error();
  return std::unique_ptr<Upstream>(
      new S3Upstream(bucket, options, std::move(address).value(), store));
}

Result<S3Listing> S3Upstream::ListOnce(const ListRequest& request, Deadline deadline,
                                       const std::stop_token& stop) {
  S3Request s3{.method = HttpMethod::kGet, .label = "LIST", .key = "", .query = {}, .headers = {}};
  s3.query = {{"list-type", "2"},
              {"encoding-type", "url"},
              {"prefix", request.prefix},
              {"max-keys", std::to_string(request.keys_max)}};
  if (request.with_delimiter) s3.query.emplace("delimiter", "/");
  if (!request.token.empty()) s3.query.emplace("continuation-token", request.token);
  if (!request.start_after.empty()) s3.query.emplace("start-after", request.start_after);
  S3Listing listing;
  const Status done = client_.WithRetries(
      [&]() -> std::optional<S3Failure> {
        BodyReceiver receiver;
        if (auto failure = client_.Attempt(s3, receiver, deadline, stop)) return failure;
        if (ParseS3Error(receiver.body())) {
          return client_.ErrorInAnswer(receiver.head(), receiver.body());
        }
        Result<S3Listing> parsed = ParseListing(receiver.body());
        if (!parsed.ok()) return S3Failure{.error = parsed.error(), .retryable = true};
        listing = std::move(parsed).value();
        return std::nullopt;
      },
      deadline, stop);
  if (!done.ok()) return Error(done.error()).Within(fmt::format("list \"{}\"", request.prefix));
  return listing;
}

Result<bool> S3Upstream::HasKeysBelow(const std::string& prefix, Deadline deadline,
                                      const std::stop_token& stop) {
  const Result<S3Listing> listing = ListOnce(
      {.prefix = prefix, .start_after = "", .token = "", .keys_max = 1, .with_delimiter = false},
      deadline, stop);
  if (!listing.ok()) return listing.error();
  return !listing.value().objects.empty() || listing.value().truncated;
}

Result<Attributes> S3Upstream::Head(const std::string& key, Deadline deadline,
                                    const std::stop_token& stop) {
  const S3Request request{
      .method = HttpMethod::kHead, .label = "HEAD", .key = key, .query = {}, .headers = {}};
  HeadReceiver receiver;
  const Status done = client_.WithRetries(
      [&] { return client_.Attempt(request, receiver, deadline, stop); }, deadline, stop);
  if (!done.ok()) return Error(done.error()).Within(fmt::format("stat \"{}\"", key));
  return receiver.attributes;
}

Result<Attributes> S3Upstream::Stat(const std::string& path, Deadline deadline,
                                    std::stop_token stop) {
  const Attributes directory{.type = FileType::kDirectory, .version = ""};
  std::optional<Error> refused;  // Of the HEAD, which has no body to say why.
  if (!path.empty()) {
    Result<Attributes> file = Head(path, deadline, stop);
    if (file.ok()) {
      // An empty object "dir/" marks a directory.
      return path.ends_with('/') && file.value().size == 0 ? directory : std::move(file);
    }
    switch (file.error().code()) {
      case Code::kNotFound: break;
      case Code::kDenied:
      case Code::kInvalidArgument: refused = file.error(); break;
      case Code::kNotHere:
      case Code::kUnavailable:
      case Code::kDeadlineExceeded:
      case Code::kChanged:
      case Code::kOverloaded:
      case Code::kCorrupt:
      case Code::kStale:
      case Code::kCancelled:
      case Code::kInternal: return file;
    }
  }
  // The LIST's answer also explains what was wrong with the HEAD: bucket, region, credentials.
  const std::string prefix = path.empty() || path.ends_with('/') ? path : fmt::format("{}/", path);
  const Result<bool> has_keys = HasKeysBelow(prefix, deadline, stop);
  if (!has_keys.ok()) return has_keys.error();
  if (refused) return *refused;
  if (has_keys.value() || path.empty()) return directory;
  return Error(Code::kNotFound, fmt::format("\"{}\": no such object, and none below it", path));
}

Result<ListPage> S3Upstream::List(const std::string& directory, const std::string& after,
                                  Deadline deadline, std::stop_token stop) {
  if (!directory.empty() && !directory.ends_with('/')) {
    return Error(Code::kInvalidArgument,
                 fmt::format("\"{}\": a directory's path ends in '/'", directory));
  }
  Result<PageBorder> previous = DecodeBorder(after);
  if (!previous.ok()) return std::move(previous).error();
  const PageBorder& from = previous.value();
  const bool by_key = from.token.empty() && !from.last.empty();
  const Result<S3Listing> listing =
      ListOnce({.prefix = directory,
                .start_after = by_key ? fmt::format("{}{}", directory, from.last) : "",
                .token = from.token,
                .keys_max = kPageKeysMax},
               deadline, stop);
  if (!listing.ok()) return listing.error();
  const S3Listing& keys = listing.value();
  if (after.empty() && !directory.empty() && !keys.truncated && keys.objects.empty() &&
      keys.common_prefixes.empty()) {
    return Error(Code::kNotFound, fmt::format("\"{}\": no object below it", directory));
  }

  const PageBorder border{.last = LastKey(keys, directory), .token = keys.continuation_token};
  std::vector<std::string> found;
  if (keys.truncated) {
    if (border.last <= from.last && border.token == from.token) {
      return Error(Code::kUnavailable, "the store's listing does not get on");
    }
    for (const std::string& name : PendingDirectories(border.last, from.last)) {
      const Result<bool> exists =
          HasKeysBelow(fmt::format("{}{}/", directory, name), deadline, stop);
      if (!exists.ok()) return exists.error();
      if (exists.value()) found.push_back(name);
    }
  }
  Result<ListPage> page = FoldPage(keys, directory, from, found);
  if (page.ok() && keys.truncated) page.value().next = EncodeBorder(border);
  return page;
}

Result<ReadOutcome> S3Upstream::Read(const ReadRange& range, ByteSink& sink, Deadline deadline,
                                     std::stop_token stop) {
  if (Status checked = CheckRange(range); !checked.ok()) return std::move(checked).error();
  RangeReceiver receiver(range, sink);
  const Status done = client_.WithRetries(
      [&]() -> std::optional<S3Failure> {
        S3Request request{.method = HttpMethod::kGet,
                          .label = "GET",
                          .key = range.path,
                          .query = {},
                          .headers = {}};
        request.headers.push_back(fmt::format("Range: bytes={}-{}", receiver.offset(),
                                              receiver.offset() + receiver.left() - 1));
        if (IsEtag(range.version)) request.headers.push_back("If-Match: " + range.version);
        const std::uint64_t before = receiver.delivered();
        auto failure = client_.Attempt(request, receiver, deadline, stop);
        client_.CountBytes(receiver.delivered() - before);
        if (receiver.left() == 0) {  // That the connection then broke off changes nothing.
          return failure && !failure->retryable ? std::move(failure) : std::nullopt;
        }
        if (failure) return failure;
        return Retryable("the store sent fewer bytes than it promised");
      },
      deadline, stop);
  if (!done.ok()) return Error(done.error()).Within(fmt::format("read \"{}\"", range.path));
  return ReadOutcome{.cacheable = receiver.cacheable()};
}

}  // namespace forebay
