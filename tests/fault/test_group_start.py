"""Starts and ends of a group at bad moments, and state that is damaged or not one's own."""

import concurrent.futures
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "e2e")]

import group_case  # noqa: E402
import harness  # noqa: E402
from group_case import content  # noqa: E402

MIB = 1 << 20
NOBODY = 65534
UP = ("up", "--workers", "1", "--memory-per-worker", "16MiB")
# A clock of the day that jumps as a file says, in seconds; other clocks are left alone.
CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec* now) {
  static int (*real)(clockid_t, struct timespec*);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(clock, now);
  const char* path = getenv("CLOCK_JUMP");
  int fd = clock == CLOCK_REALTIME && path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) return result;
  char text[32] = {0};
  if (read(fd, text, sizeof(text) - 1) > 0) now->tv_sec += atol(text);
  close(fd);
  return result;
}
"""


class StartTest(group_case.GroupTest):
    def processes(self):
        """Those that have this test's directory among their arguments."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                text = path.read_bytes()
            except OSError:
                continue
            if f"{self.dir}/".encode() in text and group_case.runs(int(path.parts[2])):
                found.append((int(path.parts[2]), text.replace(b"\0", b" ").decode()))
        return found

    def check_nothing_is_left(self):
        harness.wait_until(lambda: not self.processes(), "no process is left")
        self.assertNotIn(str(self.dir), pathlib.Path("/proc/self/mounts").read_text())
        self.assertEqual(list(self.state.glob("workers/*")), [])

    def clean_up_group(self):
        for pid, _ in self.processes():
            os.kill(pid, signal.SIGKILL)
        super().clean_up_group()

    def in_parallel(self, *commands):
        with concurrent.futures.ThreadPoolExecutor(len(commands)) as pool:
            return list(pool.map(lambda command: self.forebay(*command, timeout=120), commands))


class Races(StartTest):
    ROUNDS = 20

    def test_of_two_ups_exactly_one_wins(self):
        for i in range(self.ROUNDS):
            with self.subTest(round=i):
                outcomes = self.in_parallel((*UP, "--detach"), (*UP, "--detach"))
                self.assertEqual(sorted(o.code for o in outcomes), [0, 1], outcomes)
                for outcome in outcomes:
                    if outcome.code == 1:
                        self.check(outcome, 1, "--state-dir", "a group runs there already")
                        self.assertEqual(outcome.out, b"")
                self.assertEqual(len(self.workers()), 1)
                self.ok("down")
                self.check_nothing_is_left()

    def test_killed_at_any_moment_it_comes_up_again(self):
        chance = random.Random(7)
        root = self.old_tree({"a": content(MIB)})
        self.up(2)
        self.create("prices", root)
        self.ok("load", "prices")
        self.kill_control()
        for _ in range(self.ROUNDS // 2):
            self.up(2, ready=False)
            time.sleep(chance.uniform(0, 0.4))
            self.kill_control()
        self.up(2)
        self.await_ratio("prices", 1.0)
        self.assertEqual(self.ok("cat", "forebay://prices/a"), content(MIB))
        workers = [line for _, line in self.processes() if " worker " in line]
        self.assertEqual(len(workers), 2, workers)
        self.ok("down")
        self.check_nothing_is_left()

    def test_killed_while_it_starts_workers_it_leaks_none(self):
        chance = random.Random(8)
        for i in range(self.ROUNDS):
            with self.subTest(round=i):
                self.up(3, memory="16MiB", ready=False)
                time.sleep(chance.uniform(0, 0.3))
                self.kill_control()
                self.assertEqual(self.forebay("down").code, 0)
                self.check_nothing_is_left()

    def test_down_while_it_starts(self):
        chance = random.Random(9)
        for i in range(self.ROUNDS // 2):
            with self.subTest(round=i):
                self.up(2, memory="16MiB", ready=False)
                harness.wait_until((self.state / "registry.db").exists, "a registry")
                time.sleep(chance.uniform(0, 0.2))
                began = time.monotonic()
                self.ok("down")
                self.assertLess(time.monotonic() - began, 15)
                self.assertEqual(self.control.wait(timeout=harness.START_TIMEOUT), 0)
                self.check_nothing_is_left()

    def test_down_twice_at_once_and_during_a_load(self):
        root = self.old_tree({f"f{i}": content(MIB, i) for i in range(4)})
        for i in range(self.ROUNDS // 4):
            with self.subTest(round=i):
                self.up(2)
                self.create("prices", root, "--block-size", "1MiB")
                self.ok("load", "prices", "--throttle", "1MiB", "--detach")
                outcomes = self.in_parallel(("down",), ("down",))
                self.assertEqual([o.code for o in outcomes], [0, 0], outcomes)
                self.control.wait(timeout=harness.START_TIMEOUT)
                self.check_nothing_is_left()


class Few(Races):
    """The same in doses for every day."""
    ROUNDS = 4


class State(StartTest):
    def test_a_damaged_registry_is_named_with_its_remedy(self):
        root = self.old_tree({"a": b"x"})
        self.up(1)
        self.create("prices", root)
        self.ok("down")
        self.control.wait(timeout=harness.START_TIMEOUT)
        path = self.state / "registry.db"
        whole = path.read_bytes()
        middle = bytearray(whole)
        middle[4096:] = b"\xa5" * (len(whole) - 4096)
        for damaged in (b"garbage" * 1000, whole[:5000], whole[:4096], bytes(middle)):
            path.write_bytes(damaged)
            for more in ((), ("--detach",)):
                outcome = self.forebay(*UP, *more)
                self.check(outcome, 1, f"{path}", "put a backup in its place, or move it away")
        path.write_bytes(whole)
        self.up(1)
        self.assertEqual(self.ok("cat", "forebay://prices/a"), b"x")
        self.ok("down")
        self.control.wait(timeout=harness.START_TIMEOUT)
        path.unlink()
        self.up(1)
        self.assertEqual(self.status()["datasets"], [])

    def test_a_state_directory_that_cannot_be_written(self):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "fixed", str(self.make("fixed"))],
                       check=True)
        for state in (self.dir / "fixed", self.dir / "fixed" / "below"):
            for more in ((), ("--detach",)):
                outcome = self.run_forebay(*UP, *more, "--state-dir", state)
                self.check(outcome, 1, "--state-dir", str(state), "Read-only file system")

    def make(self, name):
        path = self.dir / name
        path.mkdir()
        return path

    def test_a_state_directory_of_another_user(self):
        self.dir.chmod(0o755)
        binary = self.dir / "forebay"
        shutil.copy(harness.BINARY, binary)
        binary.chmod(0o755)
        self.up(1)
        for arguments, text in (((*UP,), "--state-dir"), (("status",), "control.sock"),
                                (("down",), "--state-dir")):
            done = subprocess.run([binary, *arguments, "--state-dir", str(self.state)], user=NOBODY,
                                  group=NOBODY, extra_groups=[], capture_output=True, text=True,
                                  timeout=60, env=harness.clean_environment(self.dir), check=False)
            self.assertEqual(done.returncode, 1, (arguments, done.stderr))
            self.assertIn(text, done.stderr)
            self.assertIn("ermission denied", done.stderr)
        self.assertEqual(len(self.workers()), 1)


class Clocks(StartTest):
    def test_a_clock_that_jumps_ends_no_lease(self):
        source = self.dir / "clock.c"
        source.write_text(CLOCK)
        library = self.dir / "clock.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
        jump = self.dir / "jump"
        jump.write_text("0")
        root = self.old_tree({"a": content(MIB)})
        self.up(2, env={"LD_PRELOAD": str(library), "CLOCK_JUMP": str(jump)})
        self.create("prices", root, "--staleness", "pinned")
        self.ok("load", "prices")
        epoch = self.status()["groups"][0]["epoch"]
        seen = self.api.get("/v1/events?since=0")[1]["next"]
        for year, seconds in (("2", 400 * 86400), ("1", -20 * 365 * 86400)):
            fresh = self.dir / "jump.new"
            fresh.write_text(str(seconds))
            fresh.rename(jump)
            until = time.monotonic() + 3  # Longer than a lease.
            while time.monotonic() < until:
                self.assertEqual({w["state"] for w in self.workers().values()}, {"Ready"})
            self.ok("wait", "prices", "--cached", "1", "--timeout", "40s")
            self.assertEqual(self.ok("cat", "forebay://prices/a"), content(MIB))
            self.create(f"after-{year}", root)
            self.ok("wait", f"after-{year}", "--cached", "0", "--timeout", "40s")
        self.assertEqual(self.status()["groups"][0]["epoch"], epoch)
        events = self.api.get(f"/v1/events?since={seen}")[1]["events"]
        self.assertEqual({event["object"].split("/")[0] for event in events},
                         {"dataset.data.fluid.io"}, events)
        self.assertEqual(len({event["time"][:4] for event in events}), 2, "the jumps are seen")


if __name__ == "__main__":
    unittest.main()
