// forebay stat URL...
#include "app/interrupts.h"
#include "app/listing.h"
#include "app/output.h"
#include "app/pool.h"
#include "app/verbs.h"

namespace forebay {

int RunStatVerb(const Context& context) {
  Interrupts interrupts;
  const Result<std::string> format = OutputFormat(context, kListingFormats);
  if (!format.ok()) return WrongInput(context, format.error());
  Result<std::unique_ptr<Client>> client = ConnectPool(context, context.arguments);
  if (!client.ok()) return WrongInput(context, client.error());
  std::vector<ListedEntry> entries;
  bool failed = false;
  for (const std::string& url : context.arguments) {
    const Result<Attributes> attributes =
        client.value()->Stat(url, ReadDeadline(context), interrupts.token());
    if (interrupts.fired()) return kExitInterrupted;
    if (attributes.ok()) {
      entries.push_back({url, attributes.value()});
    } else {
      Complain(context, url + ": " + attributes.error().message());
      failed = true;
    }
  }
  const int code = Ended(context, interrupts, WriteStdout(FormatListing(entries, format.value())));
  return code == kExitDone && failed ? kExitFailed : code;
}

}  // namespace forebay
