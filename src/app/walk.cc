#include "app/walk.h"

#include <fmt/format.h>

namespace forebay {
namespace {

bool IsDirectoryPath(const std::string& path) {
  return path.empty() || path.back() == '/';
}

class Walker {
 public:
  Walker(Client& client, const WalkOptions& options, const WalkVisitor& visit)
      : client_(client), options_(options), visit_(visit) {}

  // `directory` is "" or ends in '/', and so does `relative`.
  Status Directory(const Location& directory, const std::string& relative) {
    const std::string url = UrlOf(directory);
    std::string after;
    do {
      const Result<ListPage> page =
          client_.List(url, after, Clock::now() + options_.call_timeout, options_.stop);
      if (!page.ok()) return Error(page.error()).Within(url);
      left_out_ += page.value().left_out;
      for (const Entry& entry : page.value().entries) {
        Status visited = One(directory, relative, entry);
        if (!visited.ok()) return visited;
      }
      after = page.value().next;
    } while (!after.empty());
    return {};
  }

  std::uint64_t left_out() const { return left_out_; }

 private:
  Status One(const Location& directory, const std::string& relative, const Entry& entry) {
    Location child = directory;
    child.path += entry.name;
    const bool is_directory = entry.attributes.type == FileType::kDirectory;
    if (is_directory) child.path += '/';
    if (!is_directory || options_.directories) {
      Status visited = visit_({UrlOf(child), relative + entry.name, entry.attributes});
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
  Result<Location> location = ParseLocation(url);
  if (!location.ok()) return std::move(location).error();
  if (!IsDirectoryPath(location.value().path)) {
    const Result<Attributes> attributes =
        client.Stat(url, Clock::now() + options.call_timeout, options.stop);
    if (!attributes.ok()) return Error(attributes.error()).Within(url);
    if (attributes.value().type == FileType::kFile) {
      const Status visited = visit({url, "", attributes.value()});
      return visited.ok() ? Result<WalkOutcome>(WalkOutcome{}) : visited.error();
    }
    location.value().path += '/';
  }
  Walker walker(client, options, visit);
  const Status walked = walker.Directory(location.value(), "");
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
