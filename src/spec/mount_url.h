// Mount point URLs: their shapes, by scheme. Which of them can be read is upstream's matter.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace forebay {

struct MountUrl {
  std::string scheme;
  bool supported = false;  // s3, file, local; others are stores that Fluid knows.
  std::string remedy;      // What to do now, if it is not supported.
  std::string dataset;     // "NAMESPACE/NAME" of dataset://.
};

// Errors: kInvalidArgument: `"s3:/b": not a URL; write s3://BUCKET/PREFIX`. A user or password in
// it is not repeated.
Result<MountUrl> CheckedUrl(const std::string& url);

// The place in a tree as we keep it: "/", "/a/b". Errors: kInvalidArgument.
Result<std::string> NormalisedPath(const std::string& path);

// `url` without "user:password@".
std::string WithoutUser(const std::string& url);

// The beginning of `text`, as much as a message repeats of a foreign one; whole UTF-8 characters.
std::string_view Shortened(std::string_view text);

// A DNS-1035 label: lower case letters, digits and '-', beginning with a letter and not ending with
// '-', at most 63.
bool IsName(std::string_view text);

}  // namespace forebay
