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


class MountTest(harness.ForebayTest):
    def setUp(self):
        super().setUp()
        if not os.path.exists("/dev/fuse") or os.geteuid() != 0:
            self.skipTest("needs /dev/fuse and root")
        self.at = self.dir / "m"
        self.at.mkdir()

    def mount(self, url, *flags, at=None, env=None, stderr=None, cwd=None):
        """A mount in the foreground: its supervisor's process."""
        at = at or self.at
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
        children = children_of(process.pid)
        if "--near-memory" in process.args:
            children = children[1:]  # The first one keeps the near worker.
        return children[0] if children else None

    @staticmethod
    def near_of(process):
        """The pid of the near worker that `process` has for itself; None: none, just now."""
        keepers = children_of(process.pid)[:1]
        children = children_of(keepers[0]) if keepers else []
        return children[0] if children else None

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
