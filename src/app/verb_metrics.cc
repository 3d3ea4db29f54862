// forebay metrics
#include "app/control_client.h"
#include "app/interrupts.h"
#include "app/output.h"
#include "app/verbs.h"

namespace forebay {

int RunMetricsVerb(const Context& context) {
  Interrupts interrupts;
  const Result<std::unique_ptr<ControlClient>> control = ControlClient::Find(context);
  if (!control.ok()) return WrongInput(context, control.error());
  const Result<std::string> text = control.value()->Ask(
      {HttpMethod::kGet, "/metrics"}, Clock::now() + kControlTimeout, interrupts.token());
  if (interrupts.fired()) return kExitInterrupted;
  if (!text.ok()) return Failed(context, text.error());
  return Ended(context, interrupts, WriteStdout(text.value()));
}

}  // namespace forebay
