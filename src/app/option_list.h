// The -o list of mount(8) and fstab(5), in which every flag of the verb may stand as KEY=VALUE.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "app/cli.h"
#include "base/result.h"

namespace forebay {

// The options of a list, which commas separate; "\," is a comma within one, and "\\" a backslash.
std::vector<std::string> SplitOptions(std::string_view list);

// Makes flags of those of --options that name one (KEY=VALUE, and of a switch KEY alone; '_' stands
// for '-' as well). Flags that were written as such go before them. The others stay options, one
// each. Errors: kInvalidArgument: a value is missing.
Status SpreadOptions(Invocation& invocation);

}  // namespace forebay
