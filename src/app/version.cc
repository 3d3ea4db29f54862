#include "app/version.h"

namespace forebay {

const std::string_view kVersion = FOREBAY_VERSION;

}  // namespace forebay
