#include "spec/mount_url.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace forebay {
namespace {

struct Scheme {
  std::string_view name;
  std::string_view shape;
  bool supported = false;
  std::string_view remedy;
};

constexpr auto kSchemes = std::to_array<Scheme>({
    {"s3", "s3://BUCKET/PREFIX", true, ""},
    {"file", "file:///DIR", true, ""},
    {"local", "local:///DIR", true, ""},
    {"s3a", "s3a://BUCKET/PREFIX", false, "write s3:// for the same bucket"},
    {"oss", "oss://BUCKET/PREFIX", false,
     "OSS also speaks S3: write s3:// for the same bucket with option endpoint "
     "https://s3.oss-REGION.aliyuncs.com"},
    {"cos", "cos://BUCKET/PREFIX", false,
     "COS also speaks S3: write s3:// for the same bucket with option endpoint"},
    {"obs", "obs://BUCKET/PREFIX", false,
     "OBS also speaks S3: write s3:// for the same bucket with option endpoint"},
    {"gs", "gs://BUCKET/PREFIX", false,
     "write s3:// for the same bucket with option endpoint https://storage.googleapis.com and an "
     "HMAC key"},
    {"juicefs", "juicefs:///DIR", false,
     "mount the file system with the juicefs client and write file:///MOUNTPOINT"},
    {"http", "http://HOST/PATH", false, "copy the files to a bucket or a directory, and name that"},
    {"https", "https://HOST/PATH", false,
     "copy the files to a bucket or a directory, and name that"},
    {"pvc", "pvc://CLAIM/PATH", false,
     "there are no claims without Kubernetes: mount the volume and write file:///MOUNTPOINT"},
    {"dataset", "dataset://NAMESPACE/NAME", false, "name that dataset's own mount points here"},
    {"hdfs", "hdfs://HOST/PATH", false, "mount it and write file:///MOUNTPOINT"},
    {"nfs", "nfs://HOST/PATH", false, "mount it and write file:///MOUNTPOINT"},
    {"cpfs", "cpfs://HOST/PATH", false, "mount it and write file:///MOUNTPOINT"},
    {"efc", "efc://HOST/PATH", false, "mount it and write file:///MOUNTPOINT"},
    {"dls", "dls://HOST/PATH", false, "mount it and write file:///MOUNTPOINT"},
});

constexpr std::string_view kUsual = "s3://BUCKET/PREFIX or file:///DIR";

bool HasControls(std::string_view text) {
  return std::ranges::any_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

Error Refused(const std::string& url, std::string_view why, std::string_view remedy) {
  return {Code::kInvalidArgument,
          fmt::format("\"{}\": {}; write {}", Shortened(WithoutUser(url)), why, remedy)};
}

Error NotAUrl(const std::string& url) {
  for (const Scheme& scheme : kSchemes) {
    if (url.starts_with(fmt::format("{}:", scheme.name))) {
      return Refused(url, "not a URL", scheme.shape);
    }
  }
  if (url.starts_with('/')) return Refused(url, "not a URL", "file://" + url);
  return Refused(url, "not a URL", kUsual);
}

bool IsBucket(std::string_view text) {
  return !text.empty() && text[0] != '.' && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  });
}

}  // namespace

std::string WithoutUser(const std::string& url) {
  const std::size_t colon = url.find("://");
  const std::size_t host = colon == std::string::npos ? 0 : colon + 3;
  const std::size_t end = std::min(url.find('/', host), url.size());
  const std::size_t at = url.rfind('@', end);
  if (at == std::string::npos || at < host) return url;
  return url.substr(0, host) + "***" + url.substr(at);
}

std::string_view Shortened(std::string_view text) {
  constexpr std::size_t kShownMax = 160;
  if (text.size() <= kShownMax) return text;
  std::size_t end = kShownMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0u) == 0x80u) --end;
  return text.substr(0, end);
}

bool IsName(std::string_view text) {
  constexpr std::size_t kNameMax = 63;
  const auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
  if (text.empty() || text.size() > kNameMax || !letter(text[0]) || text.back() == '-') {
    return false;
  }
  return std::ranges::all_of(
      text, [&letter](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-'; });
}

Result<MountUrl> CheckedUrl(const std::string& url) {
  const std::size_t colon = url.find("://");
  if (colon == std::string::npos) return NotAUrl(url);
  const std::string_view name = std::string_view(url).substr(0, colon);
  const std::string_view rest = std::string_view(url).substr(colon + 3);
  const auto* const scheme = std::ranges::find(kSchemes, name, &Scheme::name);
  if (scheme == kSchemes.end()) {
    return Refused(url, fmt::format("\"{}\" is not a store that is known", name), kUsual);
  }
  if (HasControls(url)) return Refused(url, "control characters in it", scheme->shape);
  const std::string_view host = rest.substr(0, rest.find('/'));
  const std::string_view path = rest.substr(host.size());
  const bool is_local = name == "file" || name == "local" || name == "juicefs";
  if (is_local && !host.empty()) {
    return Refused(url, fmt::format("\"{}\" is not part of a path", WithoutUser(std::string(host))),
                   scheme->shape);
  }
  if (is_local && path.empty()) return Refused(url, "no directory", scheme->shape);
  if (!is_local && host.empty()) return Refused(url, "nothing between the slashes", scheme->shape);
  if (scheme->shape.find("BUCKET") != std::string_view::npos && !IsBucket(host)) {
    return Refused(url, "no bucket has such a name", scheme->shape);
  }
  MountUrl checked{std::string(name), scheme->supported, std::string(scheme->remedy), ""};
  if (name == "dataset") {
    const std::string_view dataset = path.substr(0, path.find('/', 1));
    if (!IsName(host) || dataset.empty() || !IsName(dataset.substr(1))) {
      return Refused(url, "not the name of a dataset", scheme->shape);
    }
    checked.dataset = std::string(host) + std::string(dataset);
  }
  return checked;
}

Result<std::string> NormalisedPath(const std::string& path) {
  constexpr std::size_t kPathMax = 4096;
  const auto refused = [&path](std::string_view why) {
    return Error(
        Code::kInvalidArgument,
        fmt::format("\"{}\": {}; write an absolute path like /prices", Shortened(path), why));
  };
  if (!path.starts_with('/')) return refused("does not begin with /");
  if (path.size() > kPathMax) return refused("longer than 4096 bytes");
  if (HasControls(path)) return refused("control characters in it");
  if (path == "/") return path;
  const std::string trimmed = path.ends_with('/') ? path.substr(0, path.size() - 1) : path;
  for (std::size_t start = 1; start <= trimmed.size();) {
    const std::size_t end = std::min(trimmed.find('/', start), trimmed.size());
    const std::string_view part = std::string_view(trimmed).substr(start, end - start);
    if (part.empty() || part == "." || part == "..") return refused("has an empty, . or .. part");
    start = end + 1;
  }
  return trimmed;
}

}  // namespace forebay
