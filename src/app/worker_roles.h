// What workers of all roles have in common, and the near one.
#pragma once

#include <memory>
#include <string>

#include "app/context.h"
#include "base/result.h"
#include "io/http_server.h"
#include "io/socket.h"

namespace forebay {

// --http, or by default that of --name in the state directory. Errors: kInvalidArgument.
Result<Address> HttpAddress(const Context& context, const std::string& state);

// /metrics and /healthz. Errors: as HttpServer::Start, of --http.
Result<std::unique_ptr<HttpServer>> ServeWorkerHttp(const Address& address);

// Thousands of readers need as many descriptors; the soft limit is low only for old programs' sake.
void RaiseDescriptorLimit();

// A worker beside the mounts of this host, until a signal comes. The exit code.
int RunNearRole(const Context& context);

}  // namespace forebay
