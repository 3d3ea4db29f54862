// forebay ls [-R] URL...
#include "app/interrupts.h"
#include "app/listing.h"
#include "app/output.h"
#include "app/pool.h"
#include "app/verbs.h"
#include "client/walk.h"

namespace forebay {

int RunLsVerb(const Context& context) {
  Interrupts interrupts;
  const Result<std::string> format = OutputFormat(context, kListingFormats);
  if (!format.ok()) return WrongInput(context, format.error());
  Result<std::unique_ptr<Client>> client = ConnectPool(context, context.arguments);
  if (!client.ok()) return WrongInput(context, client.error());
  const WalkOptions options = {.recursive = context.settings.Switch("recursive"),
                               .directories = true,
                               .call_timeout = ReadTimeout(context),
                               .stop = interrupts.token()};
  // Of several URLs the names alone would not tell which entry belongs to which.
  const bool whole_names = context.arguments.size() > 1;
  std::vector<ListedEntry> entries;
  std::uint64_t left_out = 0;
  bool failed = false;
  for (const std::string& url : context.arguments) {
    const Result<WalkOutcome> outcome =
        Walk(*client.value(), url, options, [&](const WalkedEntry& entry) -> Status {
          const bool whole = whole_names || entry.relative.empty();
          entries.push_back({whole ? entry.url : entry.relative, entry.attributes});
          return {};
        });
    if (interrupts.fired()) return kExitInterrupted;
    if (outcome.ok()) {
      left_out += outcome.value().left_out;
    } else {
      Complain(context, outcome.error().message());
      failed = true;
    }
  }
  if (left_out > 0) Complain(context, LeftOutWarning(left_out));
  const int code = Ended(context, interrupts, WriteStdout(FormatListing(entries, format.value())));
  return code == kExitDone && failed ? kExitFailed : code;
}

}  // namespace forebay
