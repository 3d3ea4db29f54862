// Holds a document to its kind's table: every field known, and of the right type.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "spec/document.h"
#include "spec/node.h"
#include "spec/schema.h"

namespace forebay {

// `error` about the value at `path`: its message begins with the value, in quotes.
Error AtField(std::string_view path, const Error& error);
// `PATH "VALUE": what is wrong; what would do`.
Error WrongField(std::string_view path, std::string_view value, std::string_view message);

// Whether an option or field of that name probably holds a secret.
bool LooksSecret(std::string_view name);
// Whether `value` is a URL with a password in it.
bool HoldsPassword(std::string_view value);

// More mistakes than this are none of names: the file is something else.
inline constexpr std::size_t kWarningsMax = 1000;

// Checks every field of `root`, removes unknown ones with a warning each, and makes scalars what
// their fields want: numbers in text fields become text as written.
// Errors: kInvalidArgument, beginning with the path; also for more than kWarningsMax warnings.
Status CheckFields(const Kind& kind, const std::string& where, Node& root,
                   std::vector<Warning>& warnings);

}  // namespace forebay
