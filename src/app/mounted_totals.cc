#include "app/mounted_totals.h"

#include <utility>

#include "app/answers.h"
#include "client/dataset_url.h"

namespace forebay {

std::shared_ptr<MountedTotals> MountedTotals::Create(const Context& context,
                                                     const std::string& url) {
  if (!IsDatasetUrl(url)) return nullptr;
  const Result<DatasetPath> dataset = ParseDatasetUrl(url);
  Result<std::unique_ptr<ControlClient>> control = ControlClient::Find(context);
  if (!dataset.ok() || !control.ok()) return nullptr;
  const DatasetRef& name = dataset.value().dataset;
  const DatasetName named{.name = name.name, .name_space = name.name_space};
  return std::shared_ptr<MountedTotals>(
      new MountedTotals(std::move(control).value(), named.Target()));
}

std::optional<MountedSize> MountedTotals::Find(std::stop_token stop) {
  constexpr std::chrono::seconds kTimeout{1};
  constexpr std::chrono::seconds kUse{5};
  {
    MutexLock lock(mutex_);
    const Clock::time_point now = Clock::now();
    if (now < ask_at_) return known_;
    ask_at_ = now + kUse;  // Of several one asks.
  }
  const HttpCall call{.target = target_};
  const Result<std::string> text = control_->Ask(call, Clock::now() + kTimeout, std::move(stop));
  const Result<DatasetView> dataset =
      text.ok() ? DatasetOf(text.value()) : Result<DatasetView>(text.error());
  MutexLock lock(mutex_);
  if (dataset.ok() && dataset.value().total_bytes) {
    known_ = {.bytes = *dataset.value().total_bytes, .files = dataset.value().files.value_or(0)};
  }
  return known_;
}

}  // namespace forebay
