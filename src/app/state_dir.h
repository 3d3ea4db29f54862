// The state directory: where the sockets of a group, its records and its own mounts live.
#pragma once

#include <string>

#include "app/context.h"
#include "base/result.h"
#include "io/socket.h"

namespace forebay {

// --state-dir, absolute and without "..". Errors: kInvalidArgument.
Result<std::string> StateDirectory(const Context& context);

// Where the process `name` ("control", a worker's name) of the group in `state` listens:
// unix:STATE/NAME.sock, or a name derived from it below /run/forebay where that is too long for a
// unix socket. Makes nothing. Pure.
Address SocketAddress(const std::string& state, const std::string& name);

// The same for whoever listens there: the directory is made, for this user alone.
// Errors: kDenied, kInvalidArgument (neither place will do), naming --state-dir.
Result<Address> PrepareSocketAddress(const std::string& state, const std::string& name);

}  // namespace forebay
