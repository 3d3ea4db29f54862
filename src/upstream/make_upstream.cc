#include "base/metrics.h"
#include "upstream/posix.h"
#include "upstream/s3.h"
#include "upstream/upstream.h"

namespace forebay {

Result<std::unique_ptr<Upstream>> MakeUpstream(const Location& location,
                                               const UpstreamOptions& options) {
  const Labels store = {
      {"dataset", options.dataset.empty() ? StoreName(location, options) : options.dataset},
      {"namespace", options.name_space}};
  if (location.scheme == "file") return PosixUpstream::Create("/" + location.path, store);
  return S3Upstream::Create(location.bucket, options, store);
}

}  // namespace forebay
