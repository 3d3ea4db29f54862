// Where a bucket's requests go: endpoint, path style or virtual-host style.
#pragma once

#include <string>

#include "base/result.h"
#include "upstream/upstream.h"

namespace forebay {

struct S3Address {
  std::string origin;       // "http://127.0.0.1:9000": scheme, host, port.
  std::string host;         // The Host header: "127.0.0.1:9000", without a default port.
  std::string path_prefix;  // Percent-encoded, before "/KEY": "/bucket", or empty.
};

// `endpoint` in the one form that we store and compare: lower-case scheme and host, no default
// port, no slash at the end. Errors: kInvalidArgument, with the value and what would do. Pure.
Result<std::string> NormalisedEndpoint(const std::string& endpoint);

// The endpoint of `options`, or the public one of its region.
std::string EndpointOf(const UpstreamOptions& options);

// Errors: kInvalidArgument, if the endpoint is not normalised. Pure.
Result<S3Address> AddressOf(const std::string& bucket, const UpstreamOptions& options);

}  // namespace forebay
