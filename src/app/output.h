// Standard output and messages: results go to stdout, everything else to stderr.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "app/context.h"
#include "app/interrupts.h"
#include "base/result.h"

namespace forebay {

// Writes all of it. Errors: kCancelled if nobody reads standard output any more (be quiet then),
// kInternal with the reason, such as a full disk.
Status WriteStdout(std::span<const std::byte> bytes);
Status WriteStdout(std::string_view text);

// `text` with control characters as \n, \t or \xNN: names may hold anything, a message is one line.
std::string OneLine(std::string_view text);

// "VERB: MESSAGE" on stderr. Complain: always; Note: not with --quiet.
void Complain(const Context& context, std::string_view message);
void Note(const Context& context, std::string_view message);

// Says what is wrong with the input, and returns the exit code for that.
int WrongInput(const Context& context, const Error& error);

// The exit code of a verb that ended with `status`, having said why. An interruption outweighs it.
int Ended(const Context& context, const Interrupts& interrupts, const Status& status);

// "table", "json", ...: of -o. Errors: kInvalidArgument if it is not one of `known`.
Result<std::string> OutputFormat(const Context& context, std::span<const std::string_view> known);

}  // namespace forebay
