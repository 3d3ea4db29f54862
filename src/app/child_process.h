// ChildProcess: another run of this program, with pipes to its standard input and output.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "io/unique_fd.h"

namespace forebay {

// Killed and reaped when destroyed.
//
// Thread safety: none.
class ChildProcess {
 public:
  // Starts this program's own executable. Errors: kInternal.
  static Result<ChildProcess> Start(const std::vector<std::string>& arguments);
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ~ChildProcess();

  // Writes all of `text` to its standard input. Errors: kUnavailable: it is gone.
  Status Send(std::string_view text);
  // Its standard output.
  int output() const { return output_.get(); }
  // Takes what there is to read, and appends the lines that are now complete to `lines`. False: it
  // has closed its output.
  bool ReadLines(std::vector<std::string>& lines);

 private:
  ChildProcess(pid_t pid, UniqueFd input, UniqueFd output)
      : pid_(pid), input_(std::move(input)), output_(std::move(output)) {}

  pid_t pid_ = -1;
  UniqueFd input_;
  UniqueFd output_;
  std::string partial_;
};

}  // namespace forebay
