// Identity: what names a block, for ever and everywhere.
//
// A block's key names bytes that cannot change (the version is part of it), so a cached block is a
// fact: reading it needs no lock, no fencing and no invalidation.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/digest.h"
#include "base/rng.h"

namespace forebay {

// A security boundary of the cache. 0 until tenants exist; the room is in every key and frame.
struct DomainId {
  std::uint64_t value = 0;
  auto operator<=>(const DomainId&) const = default;
};

// The first 128 bits of the SHA-256 of what the dataset is: for a bare URL its store.
struct DatasetUid {
  Digest128 value;
  auto operator<=>(const DatasetUid&) const = default;
};

// One version of one file.
struct FileKey {
  DomainId domain;
  DatasetUid dataset;
  Digest128 path;     // Of the path's bytes.
  Digest128 version;  // Of the version tag as the upstream gives it.

  auto operator<=>(const FileKey&) const = default;

  // Uniform, and the same on every machine: placement rests on it.
  constexpr std::uint64_t Hash64() const {
    std::uint64_t hash = Mix64(domain.value);
    hash = Mix64(hash ^ dataset.value.Low64());
    hash = Mix64(hash ^ path.Low64());
    return Mix64(hash ^ version.Low64());
  }
};

struct BlockKey {
  FileKey file;
  std::uint32_t index = 0;  // Of the block in the file, from 0.

  auto operator<=>(const BlockKey&) const = default;
  constexpr std::uint64_t Hash64() const { return Mix64(file.Hash64() + index); }
};

// For unordered containers that never leave the process and are never iterated for a decision.
struct KeyHash {
  constexpr std::size_t operator()(std::uint64_t number) const { return Mix64(number); }
  constexpr std::size_t operator()(std::string_view text) const {
    std::uint64_t hash = text.size();
    for (const char c : text) hash = Mix64(hash ^ static_cast<unsigned char>(c));
    return hash;
  }
  std::size_t operator()(const FileKey& key) const { return key.Hash64(); }
  std::size_t operator()(const BlockKey& key) const { return key.Hash64(); }
};

// The placement hash of a directory: its home answers for its names and its listing.
inline std::uint64_t DirectoryHash64(DomainId domain, DatasetUid dataset, std::string_view path) {
  return Mix64(Mix64(Mix64(domain.value) ^ dataset.value.Low64()) ^ DigestOf(path).Low64());
}

}  // namespace forebay
