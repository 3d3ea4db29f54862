#include "app/background.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "control/files.h"

extern "C" char** environ;  // NOLINT: as POSIX names it.

namespace forebay {

Result<std::vector<std::string>> OwnWords() {
  const Result<std::string> own = ReadFile("/proc/self/cmdline", 1u << 20);
  if (!own.ok()) return own.error();
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin < own.value().size();) {
    const std::size_t end = own.value().find('\0', begin);
    words.push_back(own.value().substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

Result<pid_t> StartInBackground(std::vector<std::string> words, int output, int error,
                                BackgroundSession session) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&files, error, STDERR_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  const int own = session == BackgroundSession::kOwn ? POSIX_SPAWN_SETSID : 0;
  posix_spawnattr_setflags(&attributes, static_cast<short>(own | POSIX_SPAWN_SETSIGMASK));
  pid_t pid = 0;
  const int failed = posix_spawn(&pid, "/proc/self/exe", &files, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (failed != 0) return Error(Code::kInternal, fmt::format("start: {}", std::strerror(failed)));
  return pid;
}

}  // namespace forebay
