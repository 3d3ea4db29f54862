#include "client/dataset_url.h"

#include <algorithm>
#include <utility>

#include "upstream/upstream.h"

namespace forebay {
namespace {

constexpr std::string_view kScheme = "forebay://";
constexpr std::size_t kLabelMax = 63;  // RFC 1123.

bool IsLowerOrDigit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool IsLabel(std::string_view text) {
  return !text.empty() && text.size() <= kLabelMax && IsLowerOrDigit(text.front()) &&
         IsLowerOrDigit(text.back()) &&
         std::ranges::all_of(text, [](char c) { return IsLowerOrDigit(c) || c == '-'; });
}

}  // namespace

bool IsDatasetUrl(std::string_view url) {
  return url.starts_with(kScheme);
}

Result<DatasetRef> ParseDatasetRef(std::string_view text) {
  const std::size_t dot = text.find('.');
  DatasetRef name{.name = std::string(text.substr(0, dot))};
  if (dot != std::string_view::npos) name.name_space = text.substr(dot + 1);
  if (IsLabel(name.name) && IsLabel(name.name_space)) return name;
  return Error(Code::kInvalidArgument,
               "\"" + std::string(text) +
                   "\": not a dataset's name; write NAME or NAME.NAMESPACE, each of at most 63 of "
                   "a-z, 0-9 and '-', with a letter or digit at both ends");
}

Result<DatasetPath> ParseDatasetUrl(std::string_view url) {
  if (!IsDatasetUrl(url)) {
    return Error(Code::kInvalidArgument,
                 "\"" + std::string(url) + "\": not in a dataset; write forebay://NAME/PATH");
  }
  const std::string_view rest = url.substr(kScheme.size());
  const std::size_t slash = rest.find('/');
  Result<DatasetRef> name = ParseDatasetRef(rest.substr(0, slash));
  if (!name.ok()) return std::move(name).error().Within("\"" + std::string(url) + "\"");
  return DatasetPath{std::move(name).value(),
                     slash == std::string_view::npos ? "" : std::string(rest.substr(slash + 1))};
}

Result<SplitUrl> Split(const std::string& url) {
  if (IsDatasetUrl(url)) {
    Result<DatasetPath> parsed = ParseDatasetUrl(url);
    if (!parsed.ok()) return std::move(parsed).error();
    const std::size_t end = std::min(url.find('/', kScheme.size()), url.size());
    return SplitUrl{.root = url.substr(0, end) + '/',
                    .path = std::move(parsed.value().path),
                    .name = std::move(parsed.value().dataset.name)};
  }
  Result<Location> location = ParseLocation(url);
  if (!location.ok()) return std::move(location).error();
  std::string path = std::exchange(location.value().path, "");
  return SplitUrl{.root = UrlOf(location.value()),
                  .path = std::move(path),
                  .name = std::move(location.value().bucket)};
}

}  // namespace forebay
