// What the benches begin with: the files that they read or fill.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "app/context.h"
#include "app/interrupts.h"
#include "client/client.h"
#include "client/walk.h"

namespace forebay {

struct BenchInput {
  std::string format;  // "json" or "table".
  std::unique_ptr<Client> client;
  WalkedFiles walked;
};

// Checks the flags that benches share, connects with `connect`, and lists the files of the verb's
// arguments. Nothing if that failed: the reason was said, and `exit_code` is set.
std::optional<BenchInput> ListBenchFiles(
    const Context& context, const Interrupts& interrupts,
    const std::function<Result<std::unique_ptr<Client>>()>& connect, int* exit_code);

}  // namespace forebay
