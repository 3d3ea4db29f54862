// forebay version [-o json]
#include <fmt/format.h>

#include "app/answers.h"
#include "app/control_client.h"
#include "app/interrupts.h"
#include "app/output.h"
#include "app/verbs.h"
#include "app/version.h"

namespace forebay {

int RunVersionVerb(const Context& context) {
  Interrupts interrupts;
  constexpr std::string_view kFormats[] = {"table", "json", "yaml"};
  const Result<std::string> format = OutputFormat(context, kFormats);
  if (!format.ok()) return WrongInput(context, format.error());
  if (format.value() == "table") {
    return Ended(context, interrupts, WriteStdout(fmt::format("forebay {}\n", kVersion)));
  }
  RequestBody fields;
  fields.Set("version", std::string(kVersion));
  const Result<std::string> text = Rendered(fields.Text(), format.value());
  if (!text.ok()) return Failed(context, text.error());
  return Ended(context, interrupts, WriteStdout(text.value()));
}

}  // namespace forebay
