// What a service manager (systemd, Type=notify) wants to hear.
#pragma once

#include <string>

#include "app/context.h"
#include "base/result.h"

namespace forebay {

// Sends `state` ("READY=1", "STOPPING=1") to the datagram socket `path`, as NOTIFY_SOCKET of the
// environment names it ("@" begins an abstract one). Empty: nobody wants to know. Never blocks.
// Errors: kUnavailable: nobody listens; kInvalidArgument: not an absolute path of at most 107
// bytes.
Status NotifyServiceManager(const std::string& path, const std::string& state);

// The same to the socket of the context's environment, if there is one. Whether anybody hears it
// changes nothing: a failure is only logged.
void TellServiceManager(const Context& context, const std::string& state);

}  // namespace forebay
