"""A test with mounts: whatever it mounts is taken off again, also when it fails."""

import os
import pathlib
import subprocess

import harness


def children_of(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for child in text.split()]


def name_of(pid):
    """What ps(1) calls it."""
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None


class MountTest(harness.ForebayTest):
    def setUp(self):
        super().setUp()
        if not os.path.exists("/dev/fuse") or os.geteuid() != 0:
            self.skipTest("needs /dev/fuse and root")
        self.at = self.dir / "m"
        self.at.mkdir()

    def mount(self, url, *flags, at=None, env=None, stderr=None, cwd=None):
        """A mount in the foreground, without a near worker unless told: its supervisor."""
        at = at or self.at
        if "://" in url and not any(str(flag).startswith("--near-memory") for flag in flags):
            flags = ("--near-memory", "0", *flags)
        process = self.start_forebay("mount", url, at, "--foreground", "--state-dir", self.state,
                                     *flags, env=env, stdout=subprocess.PIPE, stderr=stderr,
                                     cwd=cwd)
        self.addCleanup(self.take_off, at)
        line = process.stdout.readline().decode()
        if not line.startswith("mounted "):
            raise AssertionError(f"mount ended with {process.wait(timeout=20)}")
        return process

    @staticmethod
    def daemon_of(process):
        """The pid of what serves the mount of `process`; None: nothing, just now."""
        return next((pid for pid in children_of(process.pid) if name_of(pid) == "forebay"), None)

    @staticmethod
    def near_of(process):
        """The pid of the near worker that `process` has for itself; None: none, just now."""
        children = (near for child in children_of(process.pid) for near in children_of(child))
        return next((pid for pid in children if name_of(pid) == "forebay-near"), None)

    @staticmethod
    def take_off_by_force(at):
        subprocess.run(["umount", "-f", "-l", str(at)], capture_output=True)

    @staticmethod
    def take_off(at):
        subprocess.run(["umount", "-l", str(at)], capture_output=True)

    @staticmethod
    def is_mounted(at):
        return any(line.split()[4] == str(at)
                   for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines())

    def bind_read_only(self, tree):
        """The same tree as file systems on disk show it when they are mounted read-only."""
        at = self.dir / "bind"
        at.mkdir()
        subprocess.run(["mount", "--bind", str(tree), str(at)], check=True)
        self.addCleanup(self.take_off, at)
        subprocess.run(["mount", "-o", "remount,bind,ro", str(at)], check=True)
        return at
