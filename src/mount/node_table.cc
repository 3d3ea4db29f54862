#include "mount/node_table.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "base/check.h"

namespace forebay {
namespace {

// Where the text of a record begins.
char* TextOf(NodeTable::Record& record) {
  return reinterpret_cast<char*>(&record) + sizeof(NodeTable::Record);
}

}  // namespace

// At the beginning; new memory is zero.
struct NodeTable::Header {
  std::atomic<std::uint64_t> serial;
  std::atomic<std::uint64_t> last_id;
  std::atomic<std::uint64_t> chunks;  // In use.
  std::atomic<std::int32_t> last_backing;
};

// Slots of one size: records, as many as fit.
struct NodeTable::Chunk {
  std::uint64_t size_class;
  std::uint64_t unused;

  std::byte* begin() { return reinterpret_cast<std::byte*>(this) + sizeof(Chunk); }
};

Result<std::unique_ptr<NodeTable>> NodeTable::Create(std::size_t bytes) {
  constexpr std::size_t kBytesMin = 1u << 20;
  // Where memory is promised to nobody who might not get it, or addresses are limited: less.
  for (; bytes >= kBytesMin; bytes /= 2) {
    void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) continue;
    std::unique_ptr<NodeTable> table(new NodeTable(static_cast<std::byte*>(memory), bytes));
    table->header().last_id = 1;  // The root's.
    return table;
  }
  return Error(Code::kUnavailable, std::string("the mount's table: ") + std::strerror(errno));
}

NodeTable::~NodeTable() {
  munmap(memory_, bytes_);
}

NodeTable::Header& NodeTable::header() const {
  return *std::launder(reinterpret_cast<Header*>(memory_));
}

NodeTable::Chunk& NodeTable::ChunkAt(std::uint64_t index) const {
  return *std::launder(reinterpret_cast<Chunk*>(memory_ + (index + 1) * kChunkBytes));
}

std::uint64_t NodeTable::serial() const {
  return header().serial;
}

std::int32_t NodeTable::last_backing() const {
  return header().last_backing;
}

void NodeTable::set_last_backing(std::int32_t number) {
  header().last_backing = number;
}

void NodeTable::Adopt(const std::function<void(Known)>& visit) {
  ++header().serial;
  for (std::vector<Record*>& records : free_) records.clear();
  for (std::uint64_t i = 0; i < header().chunks; ++i) Scan(ChunkAt(i), visit);
}

void NodeTable::Scan(Chunk& chunk, const std::function<void(Known)>& visit) {
  const std::size_t step = kSlotBytes.at(chunk.size_class);
  for (std::size_t at = 0; sizeof(Chunk) + at + step <= kChunkBytes; at += step) {
    auto* const record = std::launder(reinterpret_cast<Record*>(chunk.begin() + at));
    if (record->id == 0 || record->lookups == 0) {
      record->id = 0;
      free_.at(chunk.size_class).push_back(record);
      continue;
    }
    const std::string_view text(TextOf(*record), record->path_bytes + record->version_bytes);
    visit({.record = *record,
           .path = std::string(text.substr(0, record->path_bytes)),
           .attributes = {.type = record->type,
                          .size = record->size,
                          .mtime_ns = record->mtime_ns,
                          .version = std::string(text.substr(record->path_bytes))}});
  }
}

bool NodeTable::AddChunk(std::size_t size_class) {
  const std::uint64_t index = header().chunks;
  if ((index + 2) * kChunkBytes > bytes_) return false;
  Chunk& chunk = ChunkAt(index);
  chunk.size_class = size_class;
  header().chunks = index + 1;  // Atomic: the class is there before.
  Scan(chunk, [](const Known&) { CHECK(false); });
  return true;
}

NodeTable::Record* NodeTable::Add(std::string_view path, const Attributes& attributes) {
  const std::size_t bytes = sizeof(Record) + path.size() + attributes.version.size();
  const auto* const slot = std::ranges::lower_bound(kSlotBytes, bytes);
  if (slot == kSlotBytes.end()) return nullptr;
  const auto size_class = static_cast<std::size_t>(slot - kSlotBytes.begin());
  std::vector<Record*>& free = free_.at(size_class);
  if (free.empty() && !AddChunk(size_class)) return nullptr;
  Record& record = *free.back();
  free.pop_back();
  record.lookups = 1;
  record.size = attributes.size;
  record.mtime_ns = attributes.mtime_ns;
  record.backing = 0;
  record.path_bytes = static_cast<std::uint32_t>(path.size());
  record.version_bytes = static_cast<std::uint16_t>(attributes.version.size());
  record.type = attributes.type;
  std::ranges::copy(path, TextOf(record));
  std::ranges::copy(attributes.version, TextOf(record) + path.size());
  const std::uint64_t id = header().last_id + 1;
  header().last_id = id;
  record.id = id;  // From here on it is there; nothing above is stored after this.
  return &record;
}

void NodeTable::Remove(Record& record) {
  const std::size_t bytes = sizeof(Record) + record.path_bytes + record.version_bytes;
  record.id = 0;
  std::atomic_thread_fence(std::memory_order_seq_cst);  // Before whatever overwrites it.
  const auto* const slot = std::ranges::lower_bound(kSlotBytes, bytes);
  free_.at(static_cast<std::size_t>(slot - kSlotBytes.begin())).push_back(&record);
}

}  // namespace forebay
