// Files of the state directory: private, and replaced whole or not at all.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace forebay {

// Makes the directory and its parents for this user alone; an existing one stays as it is.
// Errors: kDenied.
Status MakePrivateDirectory(const std::string& path);

// Replaces `path` (mode 0600) with `text`: after a crash it has the old or the new content.
// Errors: kUnavailable: no room, or a disk that cannot be written; kDenied. The old file is then
// still there.
Status ReplaceFile(const std::string& path, std::string_view text);

// Replaces `to` with the file `from` of the same directory, and has that survive a power cut.
// Errors: kNotFound, kDenied, kUnavailable.
Status RenameFile(const std::string& from, const std::string& to);

// Errors: kNotFound, kDenied, kUnavailable; kInvalidArgument if it is longer than `bytes_max`.
Result<std::string> ReadFile(const std::string& path, std::size_t bytes_max);

}  // namespace forebay
