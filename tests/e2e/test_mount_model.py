"""Random calls on mounts of a tree that changes meanwhile, against a model of what they may say.

Several mounts of one tree: straight from the store, through a pool, with a near worker, with the
kernel's passthrough and without, and with several staleness bounds.

FOREBAY_MODEL_STEPS: how many calls and changes; FOREBAY_MODEL_SEED: which. What a seed does is the
same every time, when it does it is not.
"""

import errno
import mmap
import os
import random
import signal
import time
import unittest

import harness
import mount_case
from mount_model import DIRECTORY, NAMES, SLACK_S, Tree, Version, Window

STEPS = int(os.environ.get("FOREBAY_MODEL_STEPS", "2000"))
SEED = int(os.environ.get("FOREBAY_MODEL_SEED", "1"))
SETTLE_EVERY = 1000  # Steps; then all files are kept, and all mounts show the tree as it is.
HANDLES_MAX = 6
REMEMBERED = 30
# Weights of what may happen.
CHANGES = {"put": 6, "grow": 3, "make_directory": 4, "remove": 3, "move": 1}
CALLS = {"stat": 20, "list": 12, "open": 20, "read": 20, "read_on": 8, "map": 6, "stat_open": 6,
         "close": 12, "whole": 10}


class Handle:
    def __init__(self, path, fd, version):
        self.path, self.fd, self.version, self.position = path, fd, version, 0


class Mounted:
    """One of the mounts, and what is open in it."""

    def __init__(self, name, at, bound_s):
        self.name, self.at, self.bound_s, self.handles = name, at, bound_s, []


class Wrong(AssertionError):
    pass


class Caller:
    """Makes calls, and raises Wrong for what the model does not explain."""

    def __init__(self, tree, own):
        self.tree, self.random = tree, own
        self.outcomes = {}

    def count(self, what):
        self.outcomes[what] = self.outcomes.get(what, 0) + 1

    def call(self, mounted, function, *arguments):
        """(result or None, errno, the window of what may be said)."""
        began, error, result = time.monotonic(), 0, None
        try:
            result = function(*arguments)
        except OSError as raised:
            error = raised.errno
        since = began - mounted.bound_s - (SLACK_S if mounted.bound_s else 0)
        return result, error, Window(self.tree, since, time.monotonic())

    def check_error(self, path, error, window, more=()):
        if error not in window.errors(path) | set(more):
            raise Wrong(f"{errno.errorcode[error]}; {path or '/'} may be {window.states(path)}, "
                        f"above it {window.above(path)}")
        self.count(errno.errorcode[error])

    def explained(self, path, status, window):
        state = window.explains(path, status)
        if state is None:
            raise Wrong(f"{path or '/'} is {status}; it may be {window.states(path)}, above it "
                        f"{window.above(path)}")
        if state != self.tree.now(path):
            self.count("stale")
        return state

    def do_stat(self, mounted, path):
        status, error, window = self.call(mounted, os.stat, mounted.at / path)
        if error:
            self.check_error(path, error, window)
        else:
            self.explained(path, status, window)

    @staticmethod
    def entries(at):
        with os.scandir(at) as found:
            return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]

    def do_list(self, mounted, path):
        found, error, window = self.call(mounted, self.entries, mounted.at / path)
        if error:
            is_file = any(isinstance(state, Version) for state in window.states(path))
            self.check_error(path, error, window,
                             (errno.ENOTDIR, errno.ENOENT) if is_file else ())
        elif wrong := window.wrong_in_listing(path, found):
            raise Wrong(f"{path or '/'}: {wrong}; listed {found}")

    def do_open(self, mounted, path):
        """The handle, also added to those of the mount; None of a directory."""
        flags = os.O_RDONLY | (os.O_DIRECT if self.random.randrange(4) == 0 else 0)
        fd, error, window = self.call(mounted, os.open, mounted.at / path, flags)
        if error:
            # A directory knows no O_DIRECT.
            more = (errno.EINVAL,) if flags != os.O_RDONLY and (
                DIRECTORY in window.states(path)) else ()
            self.check_error(path, error, window, more)
            return None
        status = os.fstat(fd)
        try:
            state = self.explained(path, status, window)
        except Wrong:
            os.close(fd)
            raise
        if state == DIRECTORY:
            os.close(fd)
            return None
        mounted.handles.append(Handle(path, fd, state))
        if len(mounted.handles) > HANDLES_MAX:
            self.do_close(mounted, path)
        return mounted.handles[-1]

    def check_read(self, handle, offset, length, data, error):
        """`data` must be of the version that was opened; an error is one only if that is gone."""
        version = handle.version
        what = f"{handle.path}, {version.size} bytes of {version.pieces}, read at {offset}"
        if error:
            if error not in (errno.ESTALE, signal.SIGBUS) or (
                    self.tree.is_current(handle.path, version)):
                raise Wrong(f"{what}: error {error}; now it is {self.tree.now(handle.path)}")
            self.count("lost")
            return
        expected = version.content[offset:offset + length]
        if self.tree.is_current(handle.path, version):
            if data != expected:
                raise Wrong(f"{what}: {len(data)} bytes, other than of its version")
        elif data != expected[:len(data)] or bool(data) != bool(expected):
            raise Wrong(f"{what}: {len(data)} bytes, other than of its version, which is gone")
        else:  # As far as it is still there.
            self.count("old but whole" if data == expected else "old in part")

    def some_range(self, handle):
        size = handle.version.size
        offset = self.random.randrange(size + 5000) & ~4095
        return offset, self.random.choice((4096, 65_536, 1 << 20))

    def do_read(self, mounted, _):
        if mounted.handles:
            handle = self.random.choice(mounted.handles)
            offset, length = self.some_range(handle)
            data, error, _ = self.call(mounted, os.pread, handle.fd, length, offset)
            self.check_read(handle, offset, length, data, error)

    def do_read_on(self, mounted, _):
        if mounted.handles:
            handle = self.random.choice(mounted.handles)
            if handle.position % 4096:  # At the end.
                handle.position = os.lseek(handle.fd, 0, os.SEEK_SET)
            data, error, _ = self.call(mounted, os.read, handle.fd, 131_072)
            self.check_read(handle, handle.position, 131_072, data, error)
            handle.position += len(data or b"")

    def do_map(self, mounted, _):
        """In a process of its own, which may die of what is gone."""
        if not mounted.handles:
            return
        handle = self.random.choice(mounted.handles)
        offset = self.random.randrange(handle.version.size)
        end = min(offset + 32_768, handle.version.size)
        out, into = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                with mmap.mmap(handle.fd, 0, prot=mmap.PROT_READ) as mapped:
                    os.write(into, mapped[offset:end])
                os._exit(0)
            finally:
                os._exit(255)
        os.close(into)
        with os.fdopen(out, "rb") as pipe:
            data = pipe.read()
        _, status = os.waitpid(pid, 0)
        self.check_read(handle, offset, end - offset, data,
                        os.WTERMSIG(status) or os.WEXITSTATUS(status))

    def do_stat_open(self, mounted, _):
        if mounted.handles:
            handle = self.random.choice(mounted.handles)
            status = os.fstat(handle.fd)
            if (status.st_size, status.st_mtime_ns) != (handle.version.size,
                                                        handle.version.mtime_ns):
                raise Wrong(f"{handle.path}, opened as {handle.version}, is {status}")

    def do_close(self, mounted, _):
        if mounted.handles:
            os.close(mounted.handles.pop(self.random.randrange(len(mounted.handles))).fd)

    def do_whole(self, mounted, path):
        handle = self.do_open(mounted, path)
        if handle:
            length = handle.version.size + 5000
            data, error, _ = self.call(mounted, os.pread, handle.fd, length, 0)
            self.check_read(handle, 0, length, data, error)


class Model(mount_case.MountTest):
    def setUp(self):
        super().setUp()
        (self.dir / "data").mkdir()
        self.random = random.Random(SEED)
        self.tree = Tree(self.dir / "data", self.dir / "aside", self.random)
        self.trace = []

    def mount_all(self):
        members, _ = self.start_pool(1, staleness="1s")
        ways = {"store, 1 s": (1, "--metadata-ttl", "1"),
                "store, always asked": (0, "--metadata-ttl", "minimal"),
                "pool": (1, "--members", members),
                "pool, always asked": (0, "--members", members,
                                       "--metadata-ttl", "minimal"),
                "near": (1, "--metadata-ttl", "1", "--near-memory", "32MiB"),
                "near, buffered": (1, "--metadata-ttl", "1", "--near-memory", "4MiB",
                                   "-o", "nopassthrough")}
        self.mounts = []
        for number, (name, (bound_s, *flags)) in enumerate(ways.items()):
            at = self.dir / f"m{number}"
            at.mkdir()
            self.mount(f"file://{self.tree.root}", *flags, at=at)
            self.mounts.append(Mounted(name, at, bound_s))

    def some_path(self):
        """Mostly of what is there."""
        if self.random.randrange(30) == 0:
            return ""
        there = [path for path in self.tree.paths() if self.tree.now(path) != "absent"]
        if there and self.random.randrange(8):
            return self.random.choice(there)
        return self.random.choice(list(self.tree.paths()))

    def step(self, caller):
        kind = self.random.randrange(100)
        if kind < 12:
            change = self.random.choices(list(CHANGES), CHANGES.values())[0]
            did = getattr(self.tree, change)(self.some_path() or self.random.choice(NAMES))
            self.trace.append(did or "nothing")
        elif kind < 13:
            time.sleep(self.random.random() * 0.4)
            self.trace.append("time passed")
        else:
            mounted = self.random.choice(self.mounts)
            call = self.random.choices(list(CALLS), CALLS.values())[0]
            path = self.some_path()
            self.trace.append(f"{mounted.name}: {call} {path or '/'}")
            getattr(caller, f"do_{call}")(mounted, path)

    def settle(self, caller):
        time.sleep(harness.YOUNG_S)
        for mounted in self.mounts:
            self.trace.append(f"{mounted.name}: all of it")
            bound_s, mounted.bound_s = mounted.bound_s, 0  # Nothing changed for that long.
            for path in ["", *self.tree.paths()]:
                caller.do_stat(mounted, path)
                if self.tree.now(path) == DIRECTORY:
                    caller.do_list(mounted, path)
                elif self.tree.now(path) != "absent":
                    caller.do_whole(mounted, path)
            mounted.bound_s = bound_s

    def close_all(self):
        for mounted in self.mounts:
            for handle in mounted.handles:
                os.close(handle.fd)

    def test_whatever_a_mount_says_was_so(self):
        self.mount_all()
        self.addCleanup(self.close_all)
        caller = Caller(self.tree, self.random)
        try:
            for step in range(STEPS):
                self.step(caller)
                if step % SETTLE_EVERY == SETTLE_EVERY // 2:
                    self.settle(caller)
            self.settle(caller)
        except Wrong as wrong:
            last = "\n".join(self.trace[-REMEMBERED:])
            self.fail(f"seed {SEED}, step {len(self.trace)}: {wrong}\nbefore:\n{last}")
        finally:
            print(f"seed {SEED}, {len(self.trace)} steps: {caller.outcomes}")


if __name__ == "__main__":
    unittest.main()
