// forebay cp [-r] URL... DIR
#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <set>

#include "app/interrupts.h"
#include "app/local_tree.h"
#include "app/output.h"
#include "app/pool.h"
#include "app/progress.h"
#include "app/verbs.h"
#include "client/dataset_url.h"
#include "client/walk.h"

namespace forebay {
namespace {

// What is to be copied: files in the order they are read, each with its place in the tree.
struct CopyPlan {
  std::vector<FileToRead> files;
  std::vector<std::string> places;
  std::vector<std::string> directories;
  std::uint64_t bytes = 0;
  std::uint64_t left_out = 0;
  bool failed = false;  // Something was complained about; the rest is copied.
};

// The last component of a URL's path; of a root the bucket's or dataset's name.
std::string LastName(const std::string& url) {
  const SplitUrl split = Split(url).value();
  std::string path = split.path;
  while (!path.empty() && path.back() == '/') path.pop_back();
  if (path.empty()) return split.name;
  return path.substr(path.rfind('/') + 1);
}

class Copying : public FileSink {
 public:
  Copying(const Context& context, LocalTree& tree, const CopyPlan& plan)
      : context_(context),
        tree_(tree),
        plan_(plan),
        progress_(context, plan.bytes, plan.files.size()) {}

  Status Begin(const FileToRead&, const Attributes&) override {
    Result<LocalFile> created = tree_.Create(plan_.places[index_]);
    if (created.ok()) {
      file_.emplace(std::move(created).value());
    } else {
      refused_ = created.error();
    }
    return {};
  }

  Status Write(std::span<const std::byte> bytes) override {
    if (!file_) return {};
    const Status written = file_->Write(bytes);
    done_ += bytes.size();
    progress_.Update(done_, index_);
    if (!written.ok()) {
      refused_ = written.error();
      file_.reset();
    }
    return {};
  }

  Status End(const FileToRead& file, Status outcome) override {
    if (outcome.ok() && refused_) outcome = *refused_;
    if (outcome.ok() && file_) outcome = file_->Commit();
    file_.reset();
    refused_.reset();
    ++index_;
    progress_.Update(done_, index_);
    if (outcome.ok() || outcome.error().code() == Code::kCancelled) return {};
    Complain(context_, file.url + ": " + outcome.error().message());
    failed_ = true;
    return {};
  }

  bool failed() const { return failed_; }

 private:
  const Context& context_;
  LocalTree& tree_;
  const CopyPlan& plan_;
  Progress progress_;
  std::optional<LocalFile> file_;
  std::optional<Error> refused_;
  std::size_t index_ = 0;
  std::uint64_t done_ = 0;
  bool failed_ = false;
};

class Planner {
 public:
  Planner(const Context& context, Client& client, std::stop_token stop)
      : context_(context), client_(client), stop_(std::move(stop)) {}

  // `name` is what the URL is to be called in the target; "" puts a tree's content into it
  // directly.
  void Add(const std::string& url, const std::string& name) {
    const bool recursive = context_.settings.Switch("recursive");
    const WalkOptions options = {.recursive = recursive,
                                 .directories = true,
                                 .call_timeout = ReadTimeout(context_),
                                 .stop = stop_};
    bool omitted = false;
    const auto visit = [&](const WalkedEntry& entry) -> Status {
      const std::string place = entry.relative.empty() ? name
                                : name.empty()         ? entry.relative
                                                       : name + '/' + entry.relative;
      if (!entry.relative.empty() && !recursive) {
        omitted = true;
        return Error(Code::kInvalidArgument, "a directory; write cp -r to copy it");
      }
      AddEntry(entry, place);
      return {};
    };
    const Result<WalkOutcome> outcome = Walk(client_, url, options, visit);
    if (outcome.ok()) {
      plan_.left_out += outcome.value().left_out;
      return;
    }
    if (outcome.error().code() == Code::kCancelled) return;
    plan_.failed = true;
    Complain(context_, (omitted ? url + ": " : "") + outcome.error().message());
  }

  CopyPlan Take() { return std::move(plan_); }

 private:
  void AddEntry(const WalkedEntry& entry, const std::string& place) {
    if (entry.attributes.type == FileType::kDirectory) {
      plan_.directories.push_back(place);
      return;
    }
    if (!seen_.insert(place).second) {
      Complain(context_, fmt::format("{}: \"{}\" was just copied from elsewhere; copy it into "
                                     "another directory",
                                     entry.url, place));
      plan_.failed = true;
      return;
    }
    plan_.files.push_back({entry.url, entry.attributes});
    plan_.places.push_back(place);
    plan_.bytes += entry.attributes.size;
  }

  const Context& context_;
  Client& client_;
  const std::stop_token stop_;
  CopyPlan plan_;
  std::set<std::string> seen_;
};

// Where the copies go: into a directory, under the name of the one source in it if the user gave
// that name.
struct Target {
  std::string directory;
  std::optional<std::string> name;
  bool make = false;  // The directory, once there is something to put into it.
};

// As cp(1): into an existing directory; else, for one source, under that name.
Result<Target> FindTarget(const std::string& path, std::size_t sources, bool is_tree) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored) || sources > 1) {
    return Target{.directory = path, .name = std::nullopt};
  }
  if (is_tree) return Target{.directory = path, .name = "", .make = true};
  const std::filesystem::path local(path);
  if (!local.has_filename()) {
    return Error(Code::kInvalidArgument, fmt::format("\"{}\": no such directory; make it", path));
  }
  return Target{.directory = local.has_parent_path() ? local.parent_path().string() : ".",
                .name = local.filename().string()};
}

Result<LocalTree> OpenTarget(const Target& target) {
  return target.make ? LocalTree::OpenOrCreate(target.directory)
                     : LocalTree::Open(target.directory);
}

Result<bool> IsTree(const Context& context, Client& client, const std::string& url,
                    std::stop_token stop) {
  if (Split(url).value().is_directory()) return true;
  const Result<Attributes> attributes = client.Stat(url, ReadDeadline(context), stop);
  if (!attributes.ok()) return Error(attributes.error()).Within(url);
  return attributes.value().type == FileType::kDirectory;
}

}  // namespace

int RunCpVerb(const Context& context) {
  Interrupts interrupts;
  const std::vector<std::string> urls(context.arguments.begin(), context.arguments.end() - 1);
  const std::string& path = context.arguments.back();
  Result<std::unique_ptr<Client>> client = ConnectPool(context, urls);
  if (!client.ok()) return WrongInput(context, client.error());
  bool is_tree = false;
  if (urls.size() == 1) {
    const Result<bool> asked = IsTree(context, *client.value(), urls[0], interrupts.token());
    if (!asked.ok()) return Ended(context, interrupts, asked.error());
    is_tree = asked.value();
    if (is_tree && !context.settings.Switch("recursive")) {
      Complain(context, urls[0] + ": a directory; write cp -r to copy it");
      return kExitFailed;
    }
  }
  const Result<Target> target = FindTarget(path, urls.size(), is_tree);
  if (!target.ok()) return WrongInput(context, target.error());

  Planner planner(context, *client.value(), interrupts.token());
  for (const std::string& url : urls) {
    planner.Add(url, target.value().name ? *target.value().name : LastName(url));
  }
  const CopyPlan plan = planner.Take();
  if (interrupts.fired()) return kExitInterrupted;
  if (plan.left_out > 0) Complain(context, LeftOutWarning(plan.left_out));
  bool failed = plan.failed;
  // Of what is not there, no trace is left behind.
  if (failed && plan.files.empty() && plan.directories.empty()) return kExitFailed;
  Result<LocalTree> tree = OpenTarget(target.value());
  if (!tree.ok()) return WrongInput(context, tree.error());
  for (const std::string& directory : plan.directories) {
    const Status made = tree.value().CreateDirectory(directory);
    if (made.ok()) continue;
    Complain(context, made.error().message());
    failed = true;
  }
  Copying copying(context, tree.value(), plan);
  const Status read =
      client.value()->ReadFiles(plan.files, copying, ReadTimeout(context), interrupts.token());
  const int code = Ended(context, interrupts, read);
  return code == kExitDone && (failed || copying.failed()) ? kExitFailed : code;
}

}  // namespace forebay
