#include "app/worker_roles.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include "app/control_client.h"
#include "app/near_setup.h"
#include "app/output.h"
#include "app/service_manager.h"
#include "app/state_dir.h"
#include "app/version.h"
#include "base/log.h"
#include "base/metrics.h"

namespace forebay {
namespace {

Error Invalid(std::string message) {
  return {Code::kInvalidArgument, std::move(message)};
}

HttpReply Answer(const HttpQuestion& question) {
  if (question.path == "/healthz") return {.body = "ok\n"};
  if (question.path == "/metrics") {
    return {.body = Metrics().Text(), .content_type = "text/plain; version=0.0.4; charset=utf-8"};
  }
  return {.status = 404, .body = "there is /metrics and /healthz\n"};
}

Status CheckNear(const Settings& settings) {
  if (!settings.Has("memory")) return Invalid("--memory is missing; write --memory 4GiB");
  for (const char* const key : {"name", "address"}) {
    if (!settings.Has(key)) continue;
    return Invalid(
        fmt::format("--{} \"{}\": a near worker has none, as mounts find it in "
                    "--state-dir; leave it out",
                    key, settings.Text(key)));
  }
  if (settings.Has("members") && settings.Has("control")) {
    return Invalid("--control and --members: files come from one of them; leave the other out");
  }
  return {};
}

}  // namespace

Result<Address> HttpAddress(const Context& context, const std::string& state) {
  const Settings& settings = context.settings;
  if (!settings.Has("http")) return PrepareSocketAddress(state, settings.Text("name"));
  Result<Address> address = ParseAddress(settings.Text("http"));
  if (!address.ok()) return std::move(address).error().Within("--http");
  if (!address.value().is_local() && !settings.Switch("insecure")) {
    return Invalid(
        fmt::format("--http \"{}\": beyond loopback everybody can read it; add "
                    "--insecure if the network is private, or listen on 127.0.0.1",
                    address.value().text));
  }
  return address;
}

Result<std::unique_ptr<HttpServer>> ServeWorkerHttp(const Address& address) {
  Metrics().SetGauge("forebay_build_info", "The version of this process.",
                     {{"version", std::string(kVersion)}}, [] { return 1.0; });
  Result<std::unique_ptr<HttpServer>> http = HttpServer::Start(address, {}, Answer);
  if (!http.ok()) return std::move(http).error().Within("--http");
  return http;
}

void RaiseDescriptorLimit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int RunNearRole(const Context& context) {
  if (const Status given = CheckNear(context.settings); !given.ok()) {
    return WrongInput(context, given.error());
  }
  const Result<NearSetup> setup =
      NearSetupOf(context, kSharedNearName, "--memory", context.settings.Size("memory"));
  if (!setup.ok()) return WrongInput(context, setup.error());
  std::unique_ptr<HttpServer> http;
  if (context.settings.Has("http")) {
    const Result<Address> address = HttpAddress(context, "");
    if (!address.ok()) return WrongInput(context, address.error());
    Result<std::unique_ptr<HttpServer>> started = ServeWorkerHttp(address.value());
    if (!started.ok()) {
      Complain(context, started.error().message());
      return ExitCodeOf(started.error());
    }
    http = std::move(started).value();
  }
  RaiseDescriptorLimit();
  if (context.settings.Switch("quiet")) SetLogLevel(Level::kWarning);
  const int code = ServeNear(context, {}, setup.value(), [&] {
    TellServiceManager(context, "READY=1");
    const std::string ready =
        fmt::format("ready {} unix:{}\n", setup.value().name, setup.value().socket);
    static_cast<void>(WriteStdout(ready).ok());
  });
  TellServiceManager(context, "STOPPING=1");
  return code;
}

}  // namespace forebay
