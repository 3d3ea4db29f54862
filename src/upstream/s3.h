// S3Upstream: a bucket of S3, or of what speaks like it, as an under-storage.
#pragma once

#include <memory>
#include <string>

#include "base/metrics.h"
#include "upstream/s3_client.h"
#include "upstream/s3_xml.h"
#include "upstream/upstream.h"

namespace forebay {

struct ListRequest;

// Thread safety: safe.
class S3Upstream final : public Upstream {
 public:
  // `store` is the metrics label. Errors: kInvalidArgument (the endpoint).
  static Result<std::unique_ptr<Upstream>> Create(const std::string& bucket,
                                                  const UpstreamOptions& options,
                                                  const Labels& store);

  bool ProvenWhileStreaming(const std::string&) const override { return true; }
  bool MayBeBoth(const std::string&) const override { return true; }
  // Costs a HEAD, and a LIST unless there is a file.
  Result<Attributes> Stat(const std::string& path, Deadline deadline,
                          std::stop_token stop) override;
  // Costs a LIST a page, and one for each directory that could straddle its end (s3_fold.h).
  Result<ListPage> List(const std::string& directory, const std::string& after, Deadline deadline,
                        std::stop_token stop) override;
  // A broken transfer goes on behind the bytes already delivered, if the version is still the same.
  Result<ReadOutcome> Read(const ReadRange& range, ByteSink& sink, Deadline deadline,
                           std::stop_token stop) override;

 private:
  S3Upstream(const std::string& bucket, const UpstreamOptions& options, S3Address address,
             const Labels& store)
      : client_(bucket, options, std::move(address), store) {}

  Result<S3Listing> ListOnce(const ListRequest& request, Deadline deadline,
                             const std::stop_token& stop);
  Result<bool> HasKeysBelow(const std::string& prefix, Deadline deadline,
                            const std::stop_token& stop);
  Result<Attributes> Head(const std::string& key, Deadline deadline, const std::stop_token& stop);

  S3Client client_;
};

}  // namespace forebay
