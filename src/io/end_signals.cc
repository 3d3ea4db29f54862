#include "io/end_signals.h"

#include <pthread.h>
#include <sys/signalfd.h>

#include <csignal>

#include "base/check.h"

namespace forebay {

UniqueFd BlockEndSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action = {};
    sigaction(signal, nullptr, &action);
    // Shells ignore SIGINT for `forebay worker &` in a script; who sends it there means it.
    if (signal != SIGHUP || action.sa_handler != SIG_IGN) sigaddset(&set, signal);
  }
  CHECK(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  UniqueFd signals(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  CHECK(signals.get() >= 0);
  return signals;
}

}  // namespace forebay
