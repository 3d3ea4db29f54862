// TemporaryDirectory: a folder of a test's own.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include "base/check.h"

namespace forebay {

// Removed with all that is in it. Its path is short enough for a unix socket in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory() { CHECK(mkdtemp(path_.data()) != nullptr); }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_ = "/tmp/forebay-XXXXXX";  // The last six are mkdtemp's to choose.
};

}  // namespace forebay
