#include "client/stores.h"

#include <utility>

namespace forebay {

std::shared_ptr<const FileVersion> MakeFileVersion(const Place& place, Attributes attributes) {
  const FileKey key{.domain = DomainId{},
                    .dataset = place.store->dataset,
                    .path = DigestOf(place.path),
                    .version = DigestOf(attributes.version)};
  return std::make_shared<const FileVersion>(
      FileVersion{place.store, place.path, std::move(attributes), key});
}

Result<Place> Stores::Find(const std::string& url) {
  Result<Location> location = ParseLocation(url);
  if (!location.ok()) return location.error();
  std::string path = std::move(location.value().path);
  location.value().path.clear();  // The store from its root, whatever is read of it first.
  const std::string store_url = location.value().scheme + "://" + location.value().bucket;
  MutexLock lock(mutex_);
  auto found = stores_.find(store_url);
  if (found == stores_.end()) {
    if (stores_.size() >= kStoresMax) {
      return Error(Code::kOverloaded, "\"" + url + "\": one client reads from at most " +
                                          std::to_string(kStoresMax) + " stores; use another");
    }
    // Does not touch the network, so holding the lock keeps nobody waiting.
    Location whole = location.value();
    whole.path.clear();
    Result<std::unique_ptr<Upstream>> upstream = factory_(whole, options_);
    if (!upstream.ok()) return upstream.error();
    auto store = std::make_shared<const Store>(
        Store{.url = store_url,
              .dataset = DatasetUid{DigestOf(StoreName(location.value(), options_))},
              .upstream = std::move(upstream).value(),
              .rules = rules_});
    found = stores_.emplace(store_url, std::move(store)).first;
  }
  return Place{found->second, std::move(path)};
}

}  // namespace forebay
