#include "upstream/tree.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/rng.h"

namespace forebay {
namespace {

using Files = std::map<std::string, std::string>;  // Path to content; the content is its version.

bool IsDirectory(const Files& files, const std::string& path) {
  if (path.empty()) return true;
  const auto next = files.lower_bound(path + '/');
  return next != files.end() && next->first.starts_with(path + '/');
}

// What a store with `files` shows in `directory` ("" or ending in '/').
std::map<std::string, FileType> NamesIn(const Files& files, const std::string& directory) {
  std::map<std::string, FileType> names;
  for (const auto& [path, content] : files) {
    if (!path.starts_with(directory) || path.size() == directory.size()) continue;
    const std::string rest = path.substr(directory.size());
    const std::size_t slash = rest.find('/');
    FileType& type = names.try_emplace(rest.substr(0, slash), FileType::kFile).first->second;
    if (slash != std::string::npos) type = FileType::kDirectory;
  }
  return names;
}

// A store in memory, with pages of `page` entries.
class MapUpstream : public Upstream {
 public:
  MapUpstream(Files files, std::size_t page, bool proven = true)
      : files_(std::move(files)), page_(page), proven_(proven) {}

  bool ProvenWhileStreaming(const std::string&) const override { return proven_; }

  Result<Attributes> Stat(const std::string& path, Deadline, std::stop_token) override {
    const auto file = files_.find(path);
    if (file != files_.end()) {
      return Attributes{FileType::kFile, file->second.size(), 0, file->second};
    }
    const std::string bare = path.ends_with('/') ? path.substr(0, path.size() - 1) : path;
    if (IsDirectory(files_, bare)) return Attributes{FileType::kDirectory, 0, 0, ""};
    return Error(Code::kNotFound, "nothing there");
  }

  Result<ListPage> List(const std::string& directory, const std::string& after, Deadline,
                        std::stop_token) override {
    if (!directory.empty() && !IsDirectory(files_, directory.substr(0, directory.size() - 1))) {
      return Error(Code::kNotFound, "nothing there");
    }
    ListPage page;
    for (const auto& [name, type] : NamesIn(files_, directory)) {
      if (name <= after) continue;
      if (page.entries.size() == page_) {
        page.next = page.entries.back().name;
        break;
      }
      page.entries.push_back({name, Attributes{type, 0, 0, ""}});
    }
    return page;
  }

  Result<ReadOutcome> Read(const ReadRange& range, ByteSink& sink, Deadline,
                           std::stop_token) override {
    const auto file = files_.find(range.path);
    if (file == files_.end()) return Error(Code::kNotFound, "nothing there");
    const Status written = sink.Write(std::as_bytes(std::span(file->second)));
    if (!written.ok()) return written.error();
    return ReadOutcome{};
  }

 private:
  const Files files_;
  const std::size_t page_;
  const bool proven_;
};

class TextSink : public ByteSink {
 public:
  Status Write(std::span<const std::byte> bytes) override {
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  }
  std::string text;
};

struct MountOf {
  std::string point;
  Files files;
  std::size_t page = 1000;
  bool proven = true;
  std::string prefix = {};
};

std::unique_ptr<Upstream> Tree(const std::vector<MountOf>& mounts) {
  std::vector<TreeMount> parts;
  for (const MountOf& mount : mounts) {
    parts.push_back({mount.point, mount.prefix,
                     std::make_unique<MapUpstream>(mount.files, mount.page, mount.proven)});
  }
  Result<std::unique_ptr<Upstream>> tree = MakeTreeUpstream(std::move(parts));
  CHECK(tree.ok());
  return std::move(tree).value();
}

// All pages, and that no page is too long and no name comes twice or out of order.
std::map<std::string, FileType> ListAll(Upstream& tree, const std::string& directory) {
  std::map<std::string, FileType> names;
  std::string after;
  std::string last;
  for (int pages = 0; pages < 10'000; ++pages) {
    const Result<ListPage> page = tree.List(directory, after, {}, {});
    if (!page.ok()) {
      EXPECT_EQ(page.error().code(), Code::kNotFound);
      return names;
    }
    EXPECT_LE(page.value().entries.size(), 1000u);
    for (const Entry& entry : page.value().entries) {
      EXPECT_TRUE(last.empty() || last < entry.name) << last << " before " << entry.name;
      last = entry.name;
      names[entry.name] = entry.attributes.type;
    }
    after = page.value().next;
    if (after.empty()) return names;
  }
  ADD_FAILURE() << "the listing does not end";
  return names;
}

TEST(Tree, ReadsTheMountThatCoversAPath) {
  const auto tree = Tree({{"/", {{"x", "outer"}, {"a/y", "hidden"}}, 1000, true},
                          {"/a", {{"y", "inner"}}, 1000, false}});
  TextSink sink;
  ASSERT_TRUE(tree->Read({"a/y", "inner", 5, 0, 5}, sink, {}, {}).ok());
  EXPECT_EQ(sink.text, "inner");
  EXPECT_EQ(tree->Stat("a/y", {}, {}).value().version, "inner");
  EXPECT_TRUE(tree->ProvenWhileStreaming("x"));
  EXPECT_FALSE(tree->ProvenWhileStreaming("a/y"));
  const Result<Attributes> missing = tree->Stat("a/z", {}, {});
  EXPECT_EQ(missing.error().message(), "mount \"/a\": nothing there");
}

TEST(Tree, APrefixIsAPartOfAStore) {
  const auto tree = Tree({{"/", {{"p/x", "1"}, {"q/x", "2"}, {"px", "3"}}, 1000, true, "p/"}});
  EXPECT_EQ(tree->Stat("x", {}, {}).value().version, "1");
  EXPECT_EQ(ListAll(*tree, "").size(), 1u);
  EXPECT_EQ(tree->Stat("y", {}, {}).error().message(), "nothing there");
}

TEST(Tree, ASingleMountAtTheRootIsItself) {
  auto store = std::make_unique<MapUpstream>(Files{}, 10);
  Upstream* raw = store.get();
  std::vector<TreeMount> mounts;
  mounts.push_back({"/", "", std::move(store)});
  EXPECT_EQ(MakeTreeUpstream(std::move(mounts)).value().get(), raw);
}

TEST(Tree, PointsAreDirectoriesEvenWhereAFileIs) {
  const auto tree = Tree({{"/", {{"a", "file"}, {"b", "file"}}}, {"/a/deep", {}}});
  EXPECT_EQ(tree->Stat("a", {}, {}).value().type, FileType::kDirectory);
  EXPECT_EQ(tree->Stat("a/", {}, {}).value().type, FileType::kDirectory);
  EXPECT_EQ(ListAll(*tree, "").at("a"), FileType::kDirectory);
  EXPECT_EQ(ListAll(*tree, "a/"),
            (std::map<std::string, FileType>{{"deep", FileType::kDirectory}}));
  EXPECT_TRUE(ListAll(*tree, "a/deep/").empty());
  TextSink sink;
  EXPECT_EQ(tree->Read({"a", "file", 4, 0, 4}, sink, {}, {}).error().code(), Code::kNotFound);
}

TEST(Tree, AFullPageWithPointsIsCut) {
  Files files;
  for (int i = 0; i < 1000; ++i) files[fmt::format("f{:04}", i)] = "x";
  const auto tree = Tree({{"/", files}, {"/a", {}}, {"/f0500x", {}}, {"/z", {}}});
  EXPECT_EQ(ListAll(*tree, "").size(), 1003u);
}

TEST(Tree, RefusesWhatIsNoTree) {
  const auto code = [](const std::vector<std::string>& points) {
    std::vector<TreeMount> mounts;
    for (const std::string& point : points) {
      mounts.push_back({point, "", std::make_unique<MapUpstream>(Files{}, 10)});
    }
    const auto tree = MakeTreeUpstream(std::move(mounts));
    return tree.ok() ? "" : tree.error().message();
  };
  EXPECT_EQ(code({"/", "/a/b/"}), "");
  EXPECT_EQ(code({}), "mounts: none; a dataset needs one");
  EXPECT_EQ(code({"/a", "/a/"}), "mount \"/a/\": repeats; every mount needs its own path");
  for (const char* wrong : {"", "a", "//", "/a//b", "/../a", "/a/./b", "/a//"}) {
    EXPECT_NE(code({wrong}), "") << wrong;
  }
  EXPECT_FALSE(Tree({{"/", {}}, {"/a", {}}})->List("", "9:x", {}, {}).ok());
}

std::string RandomPath(Rng& rng, int most) {
  std::string path;
  const auto components = 1 + rng.Below(static_cast<std::uint64_t>(most));
  for (std::uint64_t i = 0; i < components; ++i) {
    if (i > 0) path += '/';
    path += static_cast<char>('a' + rng.Below(3));
  }
  return path;
}

// The tree as one map of files: each mount without what others shadow, in one list.
Files Flatten(const std::vector<MountOf>& mounts) {
  Files all;
  for (const MountOf& mount : mounts) {
    const std::string point = mount.point.substr(1);
    for (const auto& [path, content] : mount.files) {
      const std::string whole = point.empty() ? path : point + '/' + path;
      const bool hidden = std::ranges::any_of(mounts, [&](const MountOf& other) {
        const std::string inner = other.point.substr(1);
        const bool below = whole == inner || whole.starts_with(inner + '/');
        const bool above = inner.starts_with(whole + '/');
        return inner.size() > point.size() && (below || above);
      });
      if (!hidden) all[whole] = content;
    }
  }
  return all;
}

// Property: for any mounts and files, the tree shows what one store with all visible files would,
// and the mount points as directories.
TEST(Tree, IsTheUnionOfItsMounts) {
  Rng rng(7);
  for (int round = 0; round < 300; ++round) {
    std::map<std::string, MountOf> mounts;
    if (rng.Below(4) > 0) mounts["/"] = {};
    const std::uint64_t count = 1 + rng.Below(3);
    for (std::uint64_t i = 0; i < count; ++i) mounts['/' + RandomPath(rng, 3)] = {};
    std::vector<MountOf> parts;
    for (auto& [point, mount] : mounts) {
      mount.point = point;
      mount.page = 1 + rng.Below(3);
      const std::uint64_t files = rng.Below(8);
      for (std::uint64_t i = 0; i < files; ++i) {
        mount.files[RandomPath(rng, 4)] = point + std::to_string(i);
      }
      // A store in which a name is a file and a directory is another test's.
      std::erase_if(mount.files,
                    [&mount](const auto& file) { return IsDirectory(mount.files, file.first); });
      parts.push_back(mount);
    }
    const auto tree = Tree(parts);
    const Files visible = Flatten(parts);
    Files with_points = visible;
    for (const MountOf& mount : parts) with_points[mount.point.substr(1) + "/\x01"] = "";
    std::set<std::string> directories = {""};
    for (const auto& [path, content] : with_points) {
      for (std::size_t at = path.find('/', 1); at != std::string::npos;
           at = path.find('/', at + 1)) {
        directories.insert(path.substr(0, at + 1));
      }
      if (visible.contains(path)) {
        const Result<Attributes> attributes = tree->Stat(path, {}, {});
        ASSERT_TRUE(attributes.ok()) << path;
        EXPECT_EQ(attributes.value().version, content) << path;
      }
    }
    for (const std::string& directory : directories) {
      std::map<std::string, FileType> expected = NamesIn(with_points, directory);
      expected.erase("\x01");
      if (directory.empty()) expected.erase("");
      EXPECT_EQ(ListAll(*tree, directory), expected) << "round " << round << ": " << directory;
    }
  }
}

}  // namespace
}  // namespace forebay
