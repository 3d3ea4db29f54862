#include "upstream/tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <string_view>
#include <utility>

namespace forebay {
namespace {

constexpr std::size_t kPageEntriesMax = 1000;

// "/a/b/" to "a/b"; nothing for what is not a plain absolute path.
std::optional<std::string> PlainPoint(std::string_view point) {
  if (!point.starts_with('/')) return std::nullopt;
  point.remove_prefix(1);
  if (point.size() > 1 && point.ends_with('/')) point.remove_suffix(1);
  std::string_view rest = point;
  while (!rest.empty()) {
    const std::string_view component = rest.substr(0, rest.find('/'));
    if (component.empty() || component == "." || component == "..") return std::nullopt;
    rest.remove_prefix(std::min(component.size() + 1, rest.size()));
  }
  if (point.ends_with('/')) return std::nullopt;
  return std::string(point);
}

// Whether `path` is `point` or lies below it. "" is above all.
bool Covers(std::string_view point, std::string_view path) {
  return point.empty() ||
         (path.starts_with(point) && (path.size() == point.size() || path[point.size()] == '/'));
}

Attributes Directory() {
  Attributes attributes;
  attributes.type = FileType::kDirectory;
  return attributes;
}

// Where a page of a directory with mount points in it begins: entries up to `shown` were on earlier
// pages; `after` is the store's own.
struct Position {
  std::string shown;
  std::string after;

  std::string Text() const { return fmt::format("{}:{}{}", shown.size(), shown, after); }
};

Result<Position> ParsePosition(std::string_view text) {
  if (text.empty()) return Position{};
  std::size_t length = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  const auto digits = static_cast<std::size_t>(end - text.data());
  if (error != std::errc{} || digits == text.size() || text[digits] != ':' ||
      length > text.size() - digits - 1) {
    return Error(Code::kInvalidArgument, "a page of a listing begins where none of ours ended");
  }
  text.remove_prefix(digits + 1);
  return Position{std::string(text.substr(0, length)), std::string(text.substr(length))};
}

class TreeUpstream : public Upstream {
 public:
  struct Mount {
    std::string point;   // Without any '/' around it.
    std::string prefix;  // "" or ending in '/'.
    std::unique_ptr<Upstream> upstream;
  };

  // `mounts` by length of their points, longest first.
  explicit TreeUpstream(std::vector<Mount> mounts) : mounts_(std::move(mounts)) {}

  bool ProvenWhileStreaming(const std::string& path) const override {
    const Mount* mount = Find(path);
    return mount != nullptr && mount->upstream->ProvenWhileStreaming(Inside(*mount, path));
  }

  bool MayBeBoth(const std::string& path) const override {
    const Mount* mount = Find(path);
    return mount != nullptr && !IsMade(path) && mount->upstream->MayBeBoth(Inside(*mount, path));
  }

  Result<Attributes> Stat(const std::string& path, Deadline deadline,
                          std::stop_token stop) override {
    if (IsMade(path)) return Directory();
    const Mount* mount = Find(path);
    if (mount == nullptr) return NothingThere(path);
    Result<Attributes> attributes =
        mount->upstream->Stat(Inside(*mount, path), deadline, std::move(stop));
    if (!attributes.ok()) return Named(*mount, std::move(attributes).error());
    return attributes;
  }

  Result<ListPage> List(const std::string& directory, const std::string& after, Deadline deadline,
                        std::stop_token stop) override {
    const std::set<std::string> points = PointsIn(directory);
    if (points.empty()) return ListMount(directory, after, deadline, stop);
    const Result<Position> position = ParsePosition(after);
    if (!position.ok()) return position.error();
    Result<ListPage> page = ListMount(directory, position.value().after, deadline, stop);
    if (!page.ok()) return page;
    return WithPoints(std::move(page).value(), position.value(), points);
  }

  Result<ReadOutcome> Read(const ReadRange& range, ByteSink& sink, Deadline deadline,
                           std::stop_token stop) override {
    const Mount* mount = Find(range.path);
    if (mount == nullptr || IsMade(range.path)) return NothingThere(range.path);
    ReadRange inside = range;
    inside.path = Inside(*mount, range.path);
    Result<ReadOutcome> read = mount->upstream->Read(inside, sink, deadline, std::move(stop));
    if (!read.ok()) return Named(*mount, std::move(read).error());
    return read;
  }

 private:
  static Error NothingThere(const std::string& path) {
    return {Code::kNotFound, fmt::format("\"{}\": no mount has it", path)};
  }

  Error Named(const Mount& mount, Error error) const {
    if (mounts_.size() == 1) return error;
    return std::move(error).Within(fmt::format("mount \"/{}\"", mount.point));
  }

  const Mount* Find(std::string_view path) const {
    for (const Mount& mount : mounts_) {
      if (Covers(mount.point, path)) return &mount;
    }
    return nullptr;
  }

  static std::string Inside(const Mount& mount, std::string_view path) {
    path.remove_prefix(mount.point.size());
    if (!mount.point.empty() && path.starts_with('/')) path.remove_prefix(1);
    return mount.prefix + std::string(path);
  }

  // Whether `path` is a directory because something is mounted there or below. The root of a single
  // store is that store's to tell.
  bool IsMade(std::string_view path) const {
    if (path.ends_with('/')) path.remove_suffix(1);
    return std::any_of(mounts_.begin(), mounts_.end(), [this, path](const Mount& mount) {
      return Covers(path, mount.point) && (!mount.point.empty() || mounts_.size() > 1);
    });
  }

  // The names in `directory` that are there because of mount points.
  std::set<std::string> PointsIn(std::string_view directory) const {
    std::set<std::string> names;
    for (const Mount& mount : mounts_) {
      std::string_view rest = mount.point;
      if (rest.size() <= directory.size() || !rest.starts_with(directory)) continue;
      rest.remove_prefix(directory.size());
      names.emplace(rest.substr(0, rest.find('/')));
    }
    return names;
  }

  Result<ListPage> ListMount(const std::string& directory, const std::string& after,
                             Deadline deadline, std::stop_token stop) {
    const Mount* mount = Find(directory);
    if (mount == nullptr) {
      if (IsMade(directory)) return ListPage{};
      return NothingThere(directory);
    }
    Result<ListPage> page =
        mount->upstream->List(Inside(*mount, directory), after, deadline, std::move(stop));
    if (page.ok()) return page;
    // The directory is there because of what is mounted, and the store has nothing to add.
    if (page.error().code() == Code::kNotFound && IsMade(directory)) return ListPage{};
    return Named(*mount, std::move(page).error());
  }

  // A page of the store, with the mount points that belong between its names, or behind the last.
  static ListPage WithPoints(ListPage page, const Position& position,
                             const std::set<std::string>& points) {
    ListPage merged;
    merged.left_out = page.left_out;
    auto point = points.upper_bound(position.shown);
    if (position.shown.empty()) point = points.begin();
    const auto add_point = [&merged, &point] { merged.entries.push_back({*point++, Directory()}); };
    for (Entry& entry : page.entries) {
      if (!position.shown.empty() && entry.name <= position.shown) continue;
      while (point != points.end() && *point < entry.name) add_point();
      if (point != points.end() && *point == entry.name) {
        add_point();
      } else {
        merged.entries.push_back(std::move(entry));
      }
    }
    while (page.next.empty() && point != points.end()) add_point();
    std::string after = std::move(page.next);
    const bool cut = merged.entries.size() > kPageEntriesMax;
    if (cut) {
      // The rest comes from the same page of the store again; what it leaves out counts once.
      merged.entries.erase(merged.entries.begin() + kPageEntriesMax, merged.entries.end());
      merged.left_out = 0;
      after = position.after;
    }
    if (!cut && after.empty()) return merged;
    merged.next =
        Position{merged.entries.empty() ? position.shown : merged.entries.back().name, after}
            .Text();
    return merged;
  }

  const std::vector<Mount> mounts_;
};

}  // namespace

Result<std::unique_ptr<Upstream>> MakeTreeUpstream(std::vector<TreeMount> mounts) {
  std::vector<TreeUpstream::Mount> tree;
  std::set<std::string> points;
  for (TreeMount& mount : mounts) {
    std::optional<std::string> point = PlainPoint(mount.point);
    if (!point) {
      return Error(
          Code::kInvalidArgument,
          fmt::format("mount \"{}\": write a path such as /a/b, without \"..\"", mount.point));
    }
    if (!points.insert(*point).second) {
      return Error(
          Code::kInvalidArgument,
          fmt::format("mount \"{}\": repeats; every mount needs its own path", mount.point));
    }
    while (mount.prefix.ends_with('/')) mount.prefix.pop_back();
    if (!mount.prefix.empty()) mount.prefix += '/';
    tree.push_back({*std::move(point), std::move(mount.prefix), std::move(mount.upstream)});
  }
  if (tree.empty()) return Error(Code::kInvalidArgument, "mounts: none; a dataset needs one");
  if (tree.size() == 1 && tree[0].point.empty() && tree[0].prefix.empty()) {
    return std::move(tree[0].upstream);
  }
  // The longest first: it shadows the others. Of one length none lies in another.
  std::ranges::sort(tree, [](const auto& a, const auto& b) {
    return a.point.size() != b.point.size() ? a.point.size() > b.point.size() : a.point < b.point;
  });
  return std::unique_ptr<Upstream>(std::make_unique<TreeUpstream>(std::move(tree)));
}

}  // namespace forebay
