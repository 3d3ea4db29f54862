// Walk: the files below a URL, in listing order, depth first.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "client/client.h"

namespace forebay {

struct WalkedEntry {
  std::string url;
  std::string relative;  // Below the URL walked: "a/b.bin"; for that URL itself, a file, "".
  Attributes attributes;
};

struct WalkOptions {
  bool recursive = true;     // Else one level.
  bool directories = false;  // Also visit directories, before what is in them.
  std::chrono::milliseconds call_timeout{30'000};
  std::stop_token stop{};
};

// How often a key had to be left out, since a tree cannot show it.
struct WalkOutcome {
  std::uint64_t left_out = 0;
};

// An error of `visit` ends the walk with that error.
using WalkVisitor = std::function<Status(const WalkedEntry&)>;

// A URL that ends in '/', or is a store's root, is a directory; else the store is asked, and a file
// is visited as the only entry. A listing is walked while it is fetched: memory is one page a
// level. Errors: those of Client::Stat and Client::List, with the URL.
Result<WalkOutcome> Walk(Client& client, const std::string& url, const WalkOptions& options,
                         const WalkVisitor& visit);

// The files below all of `urls`, in that order. Errors: as Walk.
struct WalkedFiles {
  std::vector<FileToRead> files;
  std::uint64_t bytes = 0;
  std::uint64_t left_out = 0;
};
Result<WalkedFiles> WalkFiles(Client& client, std::span<const std::string> urls,
                              const WalkOptions& options);

// For the user: "warning: left out 3 names that ...". Empty for none.
std::string LeftOutWarning(std::uint64_t left_out);

}  // namespace forebay
