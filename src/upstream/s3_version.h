// What tells one version of an S3 object from the next.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "io/http_client.h"
#include "upstream/upstream.h"

namespace forebay {

// The tag of a version: its ETag, quoted. Without a strong ETag (a weak one never satisfies
// If-Match) it is "m:" Last-Modified, in seconds since 1970, ":" size; empty without either. Pure.
std::string VersionOf(std::string_view etag, std::optional<std::int64_t> modified_seconds,
                      std::uint64_t size);

// Whether `version` can be asked for with If-Match.
bool IsEtag(std::string_view version);

// Attributes of a file from the headers of an answer about an object of `size` bytes. Pure.
Attributes AttributesOf(const HttpHead& head, std::uint64_t size);

// False if the version of this answer rests on a Last-Modified so young that the next version may
// have the same: less than 2 s before the answer's Date. Pure.
bool TellsVersionsApart(const HttpHead& head);

}  // namespace forebay
