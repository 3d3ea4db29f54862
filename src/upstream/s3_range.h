// Whether an answer is the range that was asked for, of the version that was asked for.
#pragma once

#include <cstdint>
#include <optional>

#include "io/http_client.h"
#include "upstream/s3_error.h"
#include "upstream/upstream.h"

namespace forebay {

// What a ranged GET must bring: bytes [offset, offset + length) of `range`'s version.
// Nothing if `head` (status 2xx) promises exactly that. A lie about range or length is retryable;
// an answer of another version is kChanged. Pure.
std::optional<S3Failure> CheckRangeAnswer(const HttpHead& head, const ReadRange& range,
                                          std::uint64_t offset, std::uint64_t length);

}  // namespace forebay
