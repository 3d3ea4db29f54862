// Whether a worker's tier can have a tmpfs of its own.
#pragma once

namespace forebay {

// Whether this process may mount (CAP_SYS_ADMIN, bit 21 of the effective set).
bool MayMount();

}  // namespace forebay
