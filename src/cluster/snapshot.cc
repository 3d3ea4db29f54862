#include "cluster/snapshot.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <utility>

#include "wire/codec.h"

namespace forebay {
namespace {

constexpr std::uint64_t kMagic = 0x31504e5359424546;  // "FEBYSNP1", little-endian.
constexpr std::size_t kPageEntriesMax = 1000;
constexpr std::size_t kEntryBytesMin = 25;  // Without name and version.
constexpr std::size_t kDirectoryBytesMin = 16;

Error NothingThere(const std::string& path) {
  return {Code::kNotFound, fmt::format("\"{}\": the dataset's snapshot has no such name", path)};
}

void Put(Encoder& encoder, const Entry& entry) {
  encoder.Text(entry.name);
  encoder.U8(static_cast<std::uint8_t>(entry.attributes.type));
  encoder.U64(entry.attributes.size);
  encoder.I64(entry.attributes.mtime_ns);
  encoder.Text(entry.attributes.version);
}

// The entries that `decoder` has next; empty on an error, which it remembers.
std::vector<Entry> TakeEntries(Decoder& decoder, Status& status) {
  const std::uint32_t count = decoder.U32();
  std::vector<Entry> entries;
  entries.reserve(std::min<std::size_t>(count, decoder.left() / kEntryBytesMin));
  for (std::uint32_t i = 0; i < count && !decoder.failed(); ++i) {
    Entry entry;
    entry.name = decoder.Text();
    entry.attributes.type = static_cast<FileType>(decoder.U8());
    entry.attributes.size = decoder.U64();
    entry.attributes.mtime_ns = decoder.I64();
    entry.attributes.version = decoder.Text();
    const FileType type = entry.attributes.type;
    if (type != FileType::kFile && type != FileType::kDirectory && !decoder.failed()) {
      status = Error(Code::kInvalidArgument, "an entry is neither a file nor a directory");
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace

Snapshot::Snapshot(SnapshotKey key, SnapshotTree tree) : key_(key), tree_(std::move(tree)) {
  for (const auto& [path, directory] : tree_) names_ += directory.entries.size();
}

Result<Attributes> Snapshot::Stat(const std::string& path) const {
  std::string_view name = path;
  const bool directory_meant = name.ends_with('/');
  if (directory_meant) name.remove_suffix(1);
  if (path.empty()) return Attributes{.type = FileType::kDirectory, .version = {}};
  const std::size_t slash = name.rfind('/');
  const std::size_t begin = slash == std::string_view::npos ? 0 : slash + 1;
  const auto directory = tree_.find(name.substr(0, begin));
  if (directory == tree_.end()) return NothingThere(path);
  const std::vector<Entry>& entries = directory->second.entries;
  name.remove_prefix(begin);
  const auto found = std::ranges::lower_bound(entries, name, {}, &Entry::name);
  if (found == entries.end() || found->name != name) return NothingThere(path);
  if (directory_meant && found->attributes.type != FileType::kDirectory) return NothingThere(path);
  return found->attributes;
}

Result<ListPage> Snapshot::List(const std::string& directory, const std::string& after) const {
  const auto found = tree_.find(directory);
  if (found == tree_.end()) return NothingThere(directory);
  const std::vector<Entry>& entries = found->second.entries;
  ListPage page;
  auto at =
      after.empty() ? entries.begin() : std::ranges::upper_bound(entries, after, {}, &Entry::name);
  const auto end = entries.end() - at > static_cast<std::ptrdiff_t>(kPageEntriesMax)
                       ? at + kPageEntriesMax
                       : entries.end();
  if (after.empty()) page.left_out = found->second.left_out;
  page.entries.assign(at, end);
  if (end != entries.end()) page.next = page.entries.back().name;
  return page;
}

std::vector<std::byte> EncodeSnapshot(const Snapshot& snapshot) {
  Encoder encoder;
  encoder.U64(kMagic);
  encoder.Bytes(snapshot.key().uid.value.bytes);
  encoder.U64(snapshot.key().refreshed);
  encoder.U64(snapshot.tree().size());
  for (const auto& [path, directory] : snapshot.tree()) {
    encoder.Text(path);
    encoder.U64(directory.left_out);
    encoder.U32(static_cast<std::uint32_t>(directory.entries.size()));
    for (const Entry& entry : directory.entries) Put(encoder, entry);
  }
  return std::move(encoder).Finish();
}

Result<Snapshot> DecodeSnapshot(std::span<const std::byte> bytes) {
  Decoder decoder(bytes);
  if (const std::uint64_t magic = decoder.U64(); magic != kMagic && !decoder.failed()) {
    return Error(Code::kInvalidArgument, "this is no snapshot that this program can read");
  }
  SnapshotKey key;
  decoder.Bytes(key.uid.value.bytes);
  key.refreshed = decoder.U64();
  const std::uint64_t directories = decoder.U64();
  if (directories > decoder.left() / kDirectoryBytesMin) {
    return Error(Code::kInvalidArgument, "more directories than there are bytes for");
  }
  SnapshotTree tree;
  Status status;
  for (std::uint64_t i = 0; i < directories && !decoder.failed(); ++i) {
    const std::string path = decoder.Text();
    SnapshotDirectory directory;
    directory.left_out = decoder.U64();
    directory.entries = TakeEntries(decoder, status);
    tree.emplace_hint(tree.end(), path, std::move(directory));
  }
  if (Status ended = decoder.Finish(); !ended.ok()) return std::move(ended).error();
  if (!status.ok()) return std::move(status).error();
  return Snapshot(key, std::move(tree));
}

std::string SnapshotPath(const std::string& directory, DatasetUid uid) {
  return fmt::format("{}/{}", directory, uid.value.Hex());
}

// The file is replaced whole, so what is read is of one moment.
Result<Snapshot> ReadSnapshot(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return Error(Code::kNotFound, path + ": cannot be read");
  const std::streamoff size = file.tellg();
  if (size < 0) return Error(Code::kUnavailable, path + ": cannot be read");
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  file.seekg(0).read(reinterpret_cast<char*>(bytes.data()), size);
  if (!file) return Error(Code::kUnavailable, path + ": cannot be read");
  Result<Snapshot> snapshot = DecodeSnapshot(bytes);
  if (!snapshot.ok()) return std::move(snapshot).error().Within(path);
  return snapshot;
}

}  // namespace forebay
