"""A reference model of a mount: a tree that changes, and what a mount may say of it at any time.

Every name has a history: what it was, from when to when. By SEMANTICS.md a mount may answer from
whatever was true at some time between the staleness bound before a call and the call's end; of each
name on a path on its own, as each is kept on its own.
"""

import dataclasses
import errno
import functools
import os
import random
import shutil
import stat
import time

NAMES = "abc"
DEPTH = 3
# Times are taken around changes, not at them, and the kernel counts in ticks.
SLACK_S = 0.05
HISTORY_S = 60  # Longer than any call takes.
FOR_EVER = float("inf")
SIZES = (1, 100, 5000, 70_000, 300_000, 600_000)  # At most, roughly; some are passed through.


@functools.lru_cache(maxsize=64)
def piece(seed, size):
    return random.Random(seed).randbytes(size)


@dataclasses.dataclass(frozen=True)
class Version:
    """One version of a file; its size is its own among all that there ever were."""
    pieces: tuple  # (seed, size) of each part.
    mtime_ns: int

    @property
    def size(self):
        return sum(size for _, size in self.pieces)

    @property
    def content(self):
        return b"".join(piece(*part) for part in self.pieces)


ABSENT, DIRECTORY = "absent", "directory"


@dataclasses.dataclass
class Was:
    state: object  # ABSENT, DIRECTORY or a Version.
    began: float   # No later than it was so.
    ended: float = FOR_EVER  # No sooner than it was over.


class Tree:
    """The tree on disk, changed by its methods alone, and its history. `aside` is the name of a
    file that is not in it."""

    def __init__(self, root, aside, own):
        self.root, self.aside, self.random = root, aside, own
        self.history = {}
        self.sizes = set()
        self.count = 0

    def paths(self):
        """All that there may ever be."""
        level = [""]
        for _ in range(DEPTH):
            level = [f"{path}/{name}".lstrip("/") for path in level for name in NAMES]
            yield from level

    def now(self, path):
        return self.history[path][-1].state if self.history.get(path) else (
            ABSENT if path else DIRECTORY)

    def possible(self, path, since, until):
        """What a name was between two times; the root is a directory."""
        found = {was.state for was in self.history.get(path, ())
                 if was.ended >= since and was.began <= until}
        first = self.history[path][0].began if self.history.get(path) else FOR_EVER
        return found | ({ABSENT if path else DIRECTORY} if first >= since else set())

    def is_current(self, path, version):
        return self.now(path) == version

    def _change(self, states, do):
        """Does what makes the names be what `states` says."""
        began = time.monotonic()
        do()
        ended = time.monotonic()
        for path, state in states.items():
            history = self.history.setdefault(path, [])
            if history:
                history[-1].ended = ended
            else:
                history.append(Was(ABSENT, 0, ended))
            history.append(Was(state, began))
            while history[0].ended < ended - HISTORY_S:
                history.pop(0)

    def below(self, path):
        """The names below that are there."""
        return [p for p in self.paths() if p.startswith(path + "/") and self.now(p) != ABSENT]

    def _new_size(self):
        while True:
            size = self.random.randrange(1, self.random.choice(SIZES) * 2)
            if size not in self.sizes:
                self.sizes.add(size)
                return size

    # What happens to it. Each returns what it did, or "" if it could not.

    def put(self, path):
        """A new file, in the place of whatever was there, by a rename."""
        if self.now(os.path.dirname(path)) != DIRECTORY:
            return ""
        if self.now(path) == DIRECTORY:
            self.remove(path)
        self.count += 1
        part = (self.count, self._new_size())
        self.aside.write_bytes(piece(*part))
        version = Version((part,), self.aside.stat().st_mtime_ns)
        self._change({path: version}, lambda: os.rename(self.aside, self.root / path))
        return f"{path} is a file of {version.size} bytes"

    def grow(self, path):
        version = self.now(path)
        if not isinstance(version, Version):
            return ""
        self.count += 1
        part = (self.count, self._new_size())
        while version.size + part[1] in self.sizes:
            part = (part[0], part[1] + 1)
        self.sizes.add(version.size + part[1])
        pieces = version.pieces + (part,)

        began = time.monotonic()
        with open(self.root / path, "ab", buffering=0) as file:
            file.write(piece(*part))
        grown = Version(pieces, (self.root / path).stat().st_mtime_ns)
        self._change({path: grown}, lambda: None)
        self.history[path][-1].began = began
        return f"{path} has grown to {grown.size} bytes"

    def make_directory(self, path):
        if self.now(os.path.dirname(path)) != DIRECTORY or self.now(path) == DIRECTORY:
            return ""
        if self.now(path) != ABSENT:
            self.remove(path)
        self._change({path: DIRECTORY}, lambda: os.mkdir(self.root / path))
        return f"{path} is a directory"

    def remove(self, path):
        if self.now(path) == ABSENT:
            return ""
        is_directory = self.now(path) == DIRECTORY
        self._change({p: ABSENT for p in [path, *self.below(path)]},
                     lambda: (shutil.rmtree if is_directory else os.unlink)(self.root / path))
        return f"{path} is gone"

    def move(self, path):
        """A directory and all in it, to another name beside it."""
        to = os.path.join(os.path.dirname(path), self.random.choice(NAMES))
        if self.now(path) != DIRECTORY or to == path:
            return ""
        self.remove(to)
        states = {p: ABSENT for p in [path, *self.below(path)]}
        states |= {to + p[len(path):]: self.now(p) for p in [path, *self.below(path)]}
        self._change(states, lambda: os.rename(self.root / path, self.root / to))
        return f"{path} is now {to}"


class Window:
    """What may be said at one time: of a call from `since` less the bound, to `until`."""

    def __init__(self, tree, since, until):
        self.tree, self.since, self.until = tree, since, until

    def states(self, path):
        return self.tree.possible(path, self.since, self.until)

    def above(self, path):
        """What names above it may have been."""
        parts = path.split("/")[:-1] if path else []
        return [self.states("/".join(parts[:n + 1])) for n in range(len(parts))]

    def errors(self, path):
        """Errors with which a call that names `path` may end."""
        allowed = set()
        for states in self.above(path):
            if states != {DIRECTORY}:
                allowed |= {errno.ENOENT, errno.ENOTDIR}
        if ABSENT in self.states(path):
            allowed.add(errno.ENOENT)
        return allowed

    def can_be_reached(self, path):
        return all(DIRECTORY in states for states in self.above(path))

    def explains(self, path, status):
        """Whether `status` may be what stat() says of it: the state that it is of, or None."""
        if not self.can_be_reached(path):
            return None
        for state in self.states(path):
            if state == DIRECTORY and stat.S_ISDIR(status.st_mode):
                return state
            if isinstance(state, Version) and stat.S_ISREG(status.st_mode) and (
                    (status.st_size, status.st_mtime_ns) == (state.size, state.mtime_ns)):
                return state
        return None

    def wrong_in_listing(self, path, found):
        """What is wrong about a directory's entries, [(name, is a directory)]; "" if nothing."""
        names = [name for name, _ in found]
        if len(set(names)) != len(names):
            return f"a name twice: {names}"
        if not self.can_be_reached(path) or DIRECTORY not in self.states(path):
            return "not a directory"
        for name in sorted(set(NAMES) | set(names)):
            states = self.states(f"{path}/{name}".lstrip("/"))
            kinds = [is_directory for found_name, is_directory in found if found_name == name]
            if not kinds and ABSENT not in states and self.states(path) == {DIRECTORY}:
                return f"{name} is missing"
            if kinds and not any(state != ABSENT and (state == DIRECTORY) == kinds[0]
                                 for state in states):
                return f"{name} is shown, as a {'directory' if kinds[0] else 'file'}"
        return ""
