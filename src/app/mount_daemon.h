// The process that serves a mount, and the one that tries beforehand whether there is something to.
#pragma once

#include <string>

#include "app/context.h"
#include "app/mount_choices.h"
#include "mount/filesystem.h"
#include "mount/fuse_connection.h"
#include "mount/node_table.h"

namespace forebay {

// Whether `choices.root` is a directory that can be reached: 0, or the exit code, having said why.
int TryMount(const Context& context, const MountChoices& choices);

// What outlives a daemon. All of it is older than the process.
struct MountedRoot {
  const FuseConnection& connection;
  NodeTable& nodes;
  FilesystemOptions options;
  std::string directory;    // Where it is mounted.
  std::string device;       // "MAJOR:MINOR" of the mount, or empty: it is gone.
  std::string near_socket;  // Of the near worker, or empty: there is none.
};

// Serves it until it is unmounted, or a signal comes: then takes it off, and serves on what is open
// for a while. Bytes go into `beats` as Supervisor::Body says. Returns 0, or another exit code: it
// cannot be served.
int ServeMount(const Context& context, const MountChoices& choices, const MountedRoot& mounted,
               int beats);

// From now on messages go to --log, if there is one.
void TurnMessages(const Context& context);

}  // namespace forebay
