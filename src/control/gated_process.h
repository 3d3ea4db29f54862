// GatedProcess: a child that waits before it runs its program, until whoever started it has written
// down that it is there. If that one dies first, the child ends as well: nobody runs unknown.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "io/unique_fd.h"

namespace forebay {

struct GatedProgram {
  std::string executable;
  std::vector<std::string> arguments;  // Without the program's name.
  std::map<std::string, std::string> environment;
  std::string log;  // A file; standard output and standard error are added to it.
};

// Dropped before Run, it ends its child. The child is not waited for: whoever has the pid does
// that.
//
// Thread safety: not safe.
class GatedProcess {
 public:
  // Makes the child, in a session of its own. Errors: kUnavailable.
  static Result<GatedProcess> Fork(const GatedProgram& program);

  int pid() const { return pid_; }

  // Has it run its program, with signals as a fresh process has them. Errors: kUnavailable: it
  // cannot be run, and the child has ended.
  Status Run();

 private:
  GatedProcess(int pid, std::string executable, UniqueFd gate)
      : pid_(pid), executable_(std::move(executable)), gate_(std::move(gate)) {}

  int pid_;
  std::string executable_;
  UniqueFd gate_;
};

}  // namespace forebay
