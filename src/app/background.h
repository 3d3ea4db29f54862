// Background: this program once more, in a session of its own, to stay when the command has ended.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace forebay {

// The words of this command, the program's name first. Errors: those of ReadFile.
Result<std::vector<std::string>> OwnWords();

// kSame: it is to begin one of its own later.
enum class BackgroundSession : unsigned char { kOwn, kSame };

// Starts this program with `words`. It reads nothing; `output` and `error` become its standard
// streams, and it has no other descriptor and no blocked signal. The caller reaps it.
// Errors: kInternal.
Result<pid_t> StartInBackground(std::vector<std::string> words, int output, int error,
                                BackgroundSession session = BackgroundSession::kOwn);

}  // namespace forebay
