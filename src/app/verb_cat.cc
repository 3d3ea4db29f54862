// forebay cat URL...
#include "app/interrupts.h"
#include "app/output.h"
#include "app/pool.h"
#include "app/verbs.h"

namespace forebay {
namespace {

class StdoutSink : public FileSink {
 public:
  explicit StdoutSink(const Context& context) : context_(context) {}

  Status Begin(const FileToRead&, const Attributes&) override { return {}; }
  Status Write(std::span<const std::byte> bytes) override { return WriteStdout(bytes); }
  Status End(const FileToRead& file, Status outcome) override {
    if (outcome.ok() || outcome.error().code() == Code::kCancelled) return {};
    Complain(context_, file.url + ": " + outcome.error().message());
    failed_ = true;
    return {};
  }

  bool failed() const { return failed_; }

 private:
  const Context& context_;
  bool failed_ = false;
};

}  // namespace

int RunCatVerb(const Context& context) {
  Interrupts interrupts;
  Result<std::unique_ptr<Client>> client = ConnectPool(context, context.arguments);
  if (!client.ok()) return WrongInput(context, client.error());
  std::vector<FileToRead> files;
  for (const std::string& url : context.arguments) files.push_back({url, std::nullopt});
  StdoutSink sink(context);
  const Status read =
      client.value()->ReadFiles(files, sink, ReadTimeout(context), interrupts.token());
  const int code = Ended(context, interrupts, read);
  return code == kExitDone && sink.failed() ? kExitFailed : code;
}

}  // namespace forebay
