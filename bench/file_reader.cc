// Reads files in the ways that programs do, and says how fast that went, in one line of JSON.
//
//   file_reader sequential|mapped|random FILE [OPTION]...
//   file_reader small|stat|list|together FOLDER [OPTION]...
//
// sequential: read(2) of `block`; mapped: the same through mmap(2); random: `count` reads of
// `block`, anywhere. small: open, read, close of each file; stat: of each; list: names alone;
// together: `readers` threads, each of which reads a file of its own in order.
// Options: block=BYTES, count=N, passes=N, readers=N; direct: O_DIRECT; drop: the kernel's pages of
// the file, before each pass.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/task_group.h"
#include "raw_sockets.h"

namespace forebay {
namespace {

struct Options {
  std::size_t block = 1u << 20;
  std::size_t count = 20'000;
  std::size_t passes = 1;
  std::size_t readers = 1;
  bool direct = false;
  bool drop = false;
};

struct Done {
  std::uint64_t bytes = 0;
  std::uint64_t operations = 0;
  std::chrono::duration<double> taken{};
};

using Clock = std::chrono::steady_clock;

struct FreeBytes {
  void operator()(std::byte* bytes) const { std::free(bytes); }
};
using Buffer = std::unique_ptr<std::byte, FreeBytes>;

Buffer NewBuffer(std::size_t size) {
  constexpr std::size_t kPage = 4096;
  Buffer buffer(
      static_cast<std::byte*>(std::aligned_alloc(kPage, (size + kPage - 1) & ~(kPage - 1))));
  std::memset(buffer.get(), 1, size);
  return buffer;
}

UniqueFd OpenFile(const std::string& path, const Options& options) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | (options.direct ? O_DIRECT : 0)));
  if (!fd) Die(path);
  if (options.drop) posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);
  return fd;
}

std::size_t SizeOf(int fd) {
  struct stat status = {};
  if (fstat(fd, &status) != 0) Die("fstat");
  return static_cast<std::size_t>(status.st_size);
}

void ReadInOrder(int fd, std::byte* buffer, const Options& options, Done& done) {
  for (off_t offset = 0;;) {
    const ssize_t size = pread(fd, buffer, options.block, offset);
    if (size < 0) Die("read");
    if (size == 0) return;
    offset += size;
    done.bytes += static_cast<std::uint64_t>(size);
    ++done.operations;
  }
}

void ReadMapped(int fd, std::byte* buffer, const Options& options, Done& done) {
  const std::size_t size = SizeOf(fd);
  void* const memory = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) Die("mmap");
  for (std::size_t at = 0; at < size; at += options.block) {
    std::memcpy(buffer, static_cast<const std::byte*>(memory) + at,
                std::min(options.block, size - at));
    ++done.operations;
  }
  munmap(memory, size);
  done.bytes += size;
}

void ReadAnywhere(int fd, std::byte* buffer, const Options& options, Done& done) {
  const std::size_t blocks = SizeOf(fd) / options.block;
  std::uint64_t state = 88'172'645'463'325'252u;  // xorshift64.
  for (std::size_t i = 0; i < options.count; ++i) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    const auto offset = static_cast<off_t>(state % blocks * options.block);
    const ssize_t size = pread(fd, buffer, options.block, offset);
    if (size != static_cast<ssize_t>(options.block)) Die("read");
    done.bytes += options.block;
    ++done.operations;
  }
}

Done ReadOne(std::string_view how, const std::string& path, const Options& options) {
  const Buffer buffer = NewBuffer(options.block);
  Done done;
  for (std::size_t pass = 0; pass < options.passes; ++pass) {
    const UniqueFd fd = OpenFile(path, options);
    const auto start = Clock::now();
    if (how == "mapped") {
      ReadMapped(fd.get(), buffer.get(), options, done);
    } else if (how == "random") {
      ReadAnywhere(fd.get(), buffer.get(), options, done);
    } else {
      ReadInOrder(fd.get(), buffer.get(), options, done);
    }
    done.taken += Clock::now() - start;
  }
  return done;
}

std::vector<std::string> NamesIn(const std::string& folder) {
  DIR* const directory = opendir(folder.c_str());
  if (directory == nullptr) Die(folder);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* const entry = readdir(directory)) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  if (errno != 0) Die(folder);
  closedir(directory);
  return names;
}

Done ReadSmall(const std::string& folder, const Options& options) {
  const std::vector<std::string> names = NamesIn(folder);
  const UniqueFd directory(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const Buffer buffer = NewBuffer(options.block);
  Done done;
  const auto start = Clock::now();
  for (const std::string& name : names) {
    const UniqueFd fd(openat(directory.get(), name.c_str(), O_RDONLY | O_CLOEXEC));
    const ssize_t size = fd ? read(fd.get(), buffer.get(), options.block) : -1;
    if (size < 0) Die(name);
    done.bytes += static_cast<std::uint64_t>(size);
    ++done.operations;
  }
  done.taken = Clock::now() - start;
  return done;
}

Done StatEach(const std::string& folder, const Options& options) {
  const std::vector<std::string> names = NamesIn(folder);
  const UniqueFd directory(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  Done done;
  const auto start = Clock::now();
  for (std::size_t pass = 0; pass < options.passes; ++pass) {
    for (const std::string& name : names) {
      struct stat status = {};
      if (fstatat(directory.get(), name.c_str(), &status, 0) != 0) Die(name);
      ++done.operations;
    }
  }
  done.taken = Clock::now() - start;
  return done;
}

Done List(const std::string& folder, const Options& options) {
  Done done;
  const auto start = Clock::now();
  for (std::size_t pass = 0; pass < options.passes; ++pass) {
    done.operations += NamesIn(folder).size();
  }
  done.taken = Clock::now() - start;
  return done;
}

Done ReadTogether(const std::string& folder, const Options& options) {
  std::vector<std::string> names = NamesIn(folder);
  std::ranges::sort(names);
  std::vector<Done> done(options.readers);
  Done all;
  const auto start = Clock::now();
  {
    TaskGroup readers;
    for (std::size_t i = 0; i < options.readers; ++i) {
      readers.Run("reader", [&, i](const std::stop_token&) {
        done[i] = ReadOne("sequential", folder + '/' + names[i % names.size()], options);
      });
    }
  }
  all.taken = Clock::now() - start;
  for (const Done& one : done) {
    all.bytes += one.bytes;
    all.operations += one.operations;
  }
  return all;
}

Options OptionsOf(const std::vector<const char*>& arguments) {
  Options options;
  for (std::size_t i = 2; i < arguments.size(); ++i) {
    const std::string_view text = arguments[i];
    const char* const value = arguments[i] + std::min(text.size(), text.find('=') + 1);
    if (text == "direct") options.direct = true;
    if (text == "drop") options.drop = true;
    if (text.starts_with("block=")) options.block = std::stoul(value);
    if (text.starts_with("count=")) options.count = std::stoul(value);
    if (text.starts_with("passes=")) options.passes = std::stoul(value);
    if (text.starts_with("readers=")) options.readers = std::stoul(value);
  }
  return options;
}

int Run(const std::vector<const char*>& arguments) {
  if (arguments.size() < 2) {
    fmt::print(stderr, "usage: at the top of bench/file_reader.cc\n");
    return 2;
  }
  const std::string_view how = arguments[0];
  const Options options = OptionsOf(arguments);
  Done done;
  if (how == "small") {
    done = ReadSmall(arguments[1], options);
  } else if (how == "stat") {
    done = StatEach(arguments[1], options);
  } else if (how == "list") {
    done = List(arguments[1], options);
  } else if (how == "together") {
    done = ReadTogether(arguments[1], options);
  } else {
    done = ReadOne(how, arguments[1], options);
  }
  fmt::print("{{\"bytes\": {}, \"operations\": {}, \"seconds\": {:.6f}, \"cpuSeconds\": {:.6f}}}\n",
             done.bytes, done.operations, done.taken.count(), CpuSeconds());
  return 0;
}

}  // namespace
}  // namespace forebay

int main(int argc, char** argv) {
  return forebay::Run(std::vector<const char*>(argv + 1, argv + argc));
}
