// Registry: what control must not forget: the objects that people asked for, the events that
// explain what became of them, and how often control was started.
//
// What it acknowledged is there after a crash, a kill or a power cut; what it refused left no
// trace.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace forebay {

struct StoredObject {
  std::string kind;            // "Dataset", ...; not empty.
  std::string namespace_name;  // Empty for what belongs to no namespace.
  std::string name;            // Not empty.
  // Of its last change. One counter for the whole registry, which grows at every change.
  std::uint64_t generation = 0;
  std::string json;
  bool operator==(const StoredObject&) const = default;
};

struct StoredEvent {
  std::uint64_t id = 0;  // Grows.
  std::string json;
  bool operator==(const StoredEvent&) const = default;
};

// Expected as the generation of an object that is not to exist yet.
inline constexpr std::uint64_t kNoGeneration = 0;

// Thread safety: safe; one call at a time. Calls wait for the disk: milliseconds each.
// Errors of every call: kUnavailable: the disk is full or fails, or another process holds the file;
// kDenied: it is read-only; kCorrupt: it is damaged. Each message names the file and the remedy.
// After the first two the registry works again as soon as the disk does.
class Registry {
 public:
  static constexpr std::uint64_t kEventsMax = 1000;

  virtual ~Registry() = default;

  // All of a kind, by namespace and name.
  virtual Result<std::vector<StoredObject>> List(const std::string& kind) = 0;
  virtual Result<std::optional<StoredObject>> Find(const std::string& kind,
                                                   const std::string& namespace_name,
                                                   const std::string& name) = 0;

  // Stores `object`, whose own generation does not matter, and returns its new one.
  // Errors: kStale if `expected_generation` is given and not what is stored: read it anew;
  // kInvalidArgument if it has no kind or name.
  virtual Result<std::uint64_t> Put(const StoredObject& object,
                                    std::optional<std::uint64_t> expected_generation) = 0;
  // Stores all of `objects` or, after an error, none. Returns their new generations.
  virtual Result<std::vector<std::uint64_t>> PutAll(const std::vector<StoredObject>& objects) = 0;
  // Returns the registry's new generation. Errors: kNotFound; kStale as for Put.
  virtual Result<std::uint64_t> Delete(const std::string& kind, const std::string& namespace_name,
                                       const std::string& name,
                                       std::optional<std::uint64_t> expected_generation) = 0;

  // Of the newest change of any object, deletions included; 0: there was none.
  virtual Result<std::uint64_t> Generation() = 0;

  // Counts a start of control: 1 the first time, one more every time. See core/membership.h.
  virtual Result<std::uint32_t> NextGeneration() = 0;

  // Returns the event's id. Only the last kEventsMax are kept.
  virtual Result<std::uint64_t> AppendEvent(const std::string& json) = 0;
  // Those after the event `since`, oldest first; 0: all.
  virtual Result<std::vector<StoredEvent>> ListEvents(std::uint64_t since) = 0;
};

// The registry in one SQLite file, docs/formats/registry.md. Creates it, mode 0600, if it is not
// there. Its folder must exist.
//
// Errors: besides those above kInvalidArgument if the file is of a newer version, or something
// else.
Result<std::unique_ptr<Registry>> OpenSqliteRegistry(const std::string& path);

}  // namespace forebay
