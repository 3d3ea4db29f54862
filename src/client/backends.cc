#include "client/backends.h"

#include <utility>

namespace forebay {

Result<Place> Backends::Find(const std::string& url, Deadline deadline, std::stop_token stop) {
  if (!IsDatasetUrl(url)) {
    if (!datasets) return stores.Find(url);
    return Error(Code::kInvalidArgument,
                 "\"" + url + "\": not in a dataset of the group; write forebay://NAME/PATH");
  }
  Result<DatasetPath> parsed = ParseDatasetUrl(url);
  if (!parsed.ok()) return std::move(parsed).error();
  if (!datasets) {
    return Error(Code::kInvalidArgument, "\"" + url +
                                             "\": needs a group; a members file has no "
                                             "datasets");
  }
  Result<StoreRef> store = datasets->Find(parsed.value().dataset, deadline, std::move(stop));
  if (!store.ok()) return std::move(store).error();
  return Place{std::move(store).value(), std::move(parsed.value().path)};
}

}  // namespace forebay
