// What the yardsticks share: plain sockets, without any of Forebay's network code, so that a fault
// there cannot slow both sides of a comparison; cubic on both ends, as Forebay's sockets have.
#pragma once

#include <netinet/in.h>

#include <string_view>

#include "io/unique_fd.h"

namespace forebay {

// Ends the program with `what` and the text of errno.
[[noreturn]] void Die(std::string_view what);

// TCP, with `flags` of socket(2).
UniqueFd NewSocket(int flags = 0);

sockaddr_in AddressOf(const char* host, const char* port);
const sockaddr* Raw(const sockaddr_in& address);

// Listens there, with `flags` of socket(2), and prints `ready`.
UniqueFd ListenReady(const char* host, const char* port, int flags = 0);

// Prints `ready`, and waits for a line on standard input.
void AwaitLine();

// User and system time of this process.
double CpuSeconds();

}  // namespace forebay
