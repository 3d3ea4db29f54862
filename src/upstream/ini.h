// The INI dialect of ~/.aws/credentials and ~/.aws/config.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace forebay {

// Section name -> key -> value. "[profile x]" is the section "profile x".
using Ini = std::map<std::string, std::map<std::string, std::string>>;

// Comments start a line with '#' or ';', or follow a blank with '#' or ';'. Keys are lower-cased. A
// nested setting (an indented line below a key without a value) and a line that is none of this are
// passed over, as the AWS tools do. Pure; takes any bytes.
Ini ParseIni(std::string_view text);

}  // namespace forebay
