#include "client/walk.h"

#include <fmt/format.h>

#include "client/dataset_url.h"

namespace forebay {
namespace {

class Walker {
 public:
  Walker(Client& client, const WalkOptions& options, const WalkVisitor& visit)
      : client_(client), options_(options), visit_(visit) {}

  // `url` ends in '/'; `relative` is "" or does as well.
  Status Directory(const std::string& url, const std::string& relative) {
    std::string after;
    do {
      const Result<ListPage> page =
          client_.List(url, after, Clock::now() + options_.call_timeout, options_.stop);
      if (!page.ok()) return Error(page.error()).Within(url);
      left_out_ += page.value().left_out;
      for (const Entry& entry : page.value().entries) {
        Status visited = One(url, relative, entry);
        if (!visited.ok()) return visited;
      }
      after = page.value().next;
    } while (!after.empty());
    return {};
  }

  std::uint64_t left_out() const { return left_out_; }

 private:
  Status One(const std::string& directory, const std::string& relative, const Entry& entry) {
    std::string child = directory + entry.name;
    const bool is_directory = entry.attributes.type == FileType::kDirectory;
    if (is_directory) child += '/';
    if (!is_directory || options_.directories) {
      Status visited = visit_({child, relative + entry.name, entry.attributes});
      if (!visited.ok()) return visited;
    }
    if (!is_directory || !options_.recursive) return {};
    return Directory(child, relative + entry.name + '/');
  }

  Client& client_;
  const WalkOptions& options_;
  const WalkVisitor& visit_;
  std::uint64_t left_out_ = 0;
};

}  // namespace

Result<WalkOutcome> Walk(Client& client, const std::string& url, const WalkOptions& options,
                         const WalkVisitor& visit) {
  Result<SplitUrl> split = Split(url);
  if (!split.ok()) return std::move(split).error();
  if (!split.value().is_directory()) {
    const Result<Attributes> attributes =
        client.Stat(url, Clock::now() + options.call_timeout, options.stop);
    if (!attributes.ok()) return Error(attributes.error()).Within(url);
    if (attributes.value().type == FileType::kFile) {
      const Status visited = visit({url, "", attributes.value()});
      return visited.ok() ? Result<WalkOutcome>(WalkOutcome{}) : visited.error();
    }
    split.value().path += '/';
  }
  Walker walker(client, options, visit);
  const Status walked = walker.Directory(split.value().Text(), "");
  if (!walked.ok()) return walked.error();
  return WalkOutcome{walker.left_out()};
}

Result<WalkedFiles> WalkFiles(Client& client, std::span<const std::string> urls,
                              const WalkOptions& options) {
  WalkedFiles walked;
  for (const std::string& url : urls) {
    const Result<WalkOutcome> outcome =
        Walk(client, url, options, [&walked](const WalkedEntry& entry) -> Status {
          walked.files.push_back({entry.url, entry.attributes});
          walked.bytes += entry.attributes.size;
          return {};
        });
    if (!outcome.ok()) return outcome.error();
    walked.left_out += outcome.value().left_out;
  }
  return walked;
}

std::string LeftOutWarning(std::uint64_t left_out) {
  if (left_out == 0) return "";
  return fmt::format(
      "warning: left out {} {} that a tree cannot show: keys with an empty, \".\" or \"..\" "
      "component "
      "(`forebay cat` reads them by their whole URL), special files, and links out of the tree",
      left_out, left_out == 1 ? "name" : "names");
}

}  // namespace forebay
