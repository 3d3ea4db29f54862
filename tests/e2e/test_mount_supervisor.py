"""The mount's supervisor: a daemon that dies or hangs costs readers a pause, and no error.

FOREBAY_MOUNT_KILLS: how many SIGKILLs the readers go through; 1000 is the full run, of 20 minutes.
"""

import concurrent.futures
import errno
import os
import random
import signal
import subprocess
import threading
import time
import unittest

import hanging_store
import harness
import mount_case

KILLS = int(os.environ.get("FOREBAY_MOUNT_KILLS", "12"))
IS_FULL = KILLS >= 1000
RANDOM = random.Random(5)
BIG = RANDOM.randbytes((9 << 20) + 12_345)
LONG_AGO = 1_767_225_600


class Reader:
    """Verifies bytes until it is told to stop; remembers errors and how long calls took."""

    def __init__(self, at, files, seed, stop):
        self.at, self.files, self.random, self.stop = at, files, random.Random(seed), stop
        self.errors, self.stalls, self.calls, self.is_done = [], [], 0, False

    def timed(self, function, *arguments):
        began = time.monotonic()
        result = function(*arguments)
        took = time.monotonic() - began
        self.calls += 1
        if took > 0.002:  # Shorter ones count as none.
            self.stalls.append((began, took))
        return result

    def check(self, is_right, what):
        if not is_right:
            self.errors.append(f"wrong: {what}")

    def step(self, kept):
        name = self.random.choice(list(self.files))
        content = self.files[name]
        kind = self.random.randrange(5)
        if kind == 0:
            self.check(self.timed(os.stat, self.at / name).st_size == len(content), name)
        elif kind == 1:
            listed = self.timed(os.listdir, self.at / "d")
            self.check(len(listed) == len(self.files) - 1, "d")
        elif kind == 2:
            fd = self.timed(os.open, self.at / name, os.O_RDONLY)
            try:
                self.check(self.timed(os.pread, fd, 1 << 20, 0) == content[:1 << 20], name)
            finally:
                self.timed(os.close, fd)
        else:  # Past the kernel's pages.
            offset = self.random.randrange(len(BIG)) & ~4095
            length = self.random.randrange(1, 80) * 4096
            self.check(self.timed(os.pread, kept, length, offset) == BIG[offset:offset + length],
                       f"big.bin at {offset}")

    def run(self):
        kept = self.timed(os.open, self.at / "big.bin", os.O_RDONLY | os.O_DIRECT)
        while not self.stop.is_set():
            try:
                self.step(kept)
            except OSError as error:
                self.errors.append(repr(error))
        os.close(kept)


class Replaced(mount_case.MountTest):
    def tree(self):
        files = {"big.bin": BIG} | {f"d/{i:03}": RANDOM.randbytes(i * 97) for i in range(50)}
        root = self.make_tree(files)
        for path in root.rglob("*"):
            os.utime(path, (LONG_AGO, LONG_AGO))
        # What was just changed is not kept, and asks more.
        harness.await_old(root)
        return root, files

    def kill(self, process, number=signal.SIGKILL):
        daemon = self.daemon_of(process)
        os.kill(daemon, number)
        return daemon

    def await_other(self, process, daemon):
        harness.wait_until(lambda: self.daemon_of(process) not in (None, daemon), "another daemon")

    def test_readers_notice_no_kill(self):
        root, files = self.tree()
        process = self.mount(f"file://{root}")
        stop = threading.Event()
        readers = [Reader(self.at, files, seed, stop) for seed in range(8)]
        kills = []
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            running = [pool.submit(reader.run) for reader in readers]
            try:
                for i in range(KILLS):
                    daemon = self.kill(process)
                    kills.append(time.monotonic())
                    self.await_other(process, daemon)
                    # Longer than a short life; some of them early in it.
                    time.sleep(0.05 if i % 5 == 1 else 1.1)
            finally:
                stop.set()
            for one in running:
                one.result(timeout=60)
        self.assertEqual([e for reader in readers for e in reader.errors], [])
        self.assertTrue(self.is_mounted(self.at))
        # Of each reader and kill, the longest call that was under way at it or began just after.
        stalls = sorted(max((took for began, took in reader.stalls
                             if began < at + 0.2 and began + took > at), default=0)
                        for reader in readers for at in kills)
        p99 = stalls[len(stalls) * 99 // 100]
        print(f"{KILLS} kills, {sum(reader.calls for reader in readers)} calls: stall p50 "
              f"{stalls[len(stalls) // 2] * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, most "
              f"{stalls[-1] * 1000:.0f} ms")
        # A busy machine starves the readers themselves; the bar is for one that is not.
        self.assertLess(p99, 1 if IS_FULL else 15)
        self.check(self.run_forebay("umount", self.at), 0)
        self.assertEqual(process.wait(timeout=20), 0)

    def test_one_that_hangs_is_replaced(self):
        root, _ = self.tree()
        process = self.mount(f"file://{root}")
        with open(self.at / "big.bin", "rb", buffering=0) as file:
            self.assertEqual(file.read(10), BIG[:10])
            daemon = self.kill(process, signal.SIGSTOP)
            began = time.monotonic()
            self.assertEqual(os.pread(file.fileno(), 100, 8 << 20), BIG[8 << 20:(8 << 20) + 100])
            self.assertLess(time.monotonic() - began, 15)
            self.assertNotEqual(self.daemon_of(process), daemon)
        self.check(self.run_forebay("umount", self.at), 0)
        self.assertEqual(process.wait(timeout=20), 0)

    def test_an_open_file_stays_what_it_is(self):
        root, _ = self.tree()
        process = self.mount(f"file://{root}")
        old = os.open(self.at / "big.bin", os.O_RDONLY | os.O_DIRECT)
        self.addCleanup(os.close, old)
        ino = os.fstat(old).st_ino
        self.await_other(process, self.kill(process))
        self.assertEqual(os.pread(old, 1 << 20, 4096), BIG[4096:4096 + (1 << 20)])
        other = bytes(reversed(BIG))
        (root / "new").write_bytes(other)
        os.rename(root / "new", root / "big.bin")
        self.await_other(process, self.kill(process))
        # Never bytes of the other version.
        with self.assertRaises(OSError) as raised:
            os.pread(old, 4096, 2 << 20)
        self.assertEqual(raised.exception.errno, errno.ESTALE)
        self.assertEqual((os.fstat(old).st_ino, os.fstat(old).st_size), (ino, len(BIG)))

    def test_a_listing_goes_on(self):
        names = [f"{i:05}" for i in range(3_000)]
        root = self.make_tree({f"d/{name}": b"" for name in names})
        process = self.mount(f"file://{root}")
        with os.scandir(self.at / "d") as entries:
            found = [next(entries).name for _ in range(100)]
            self.await_other(process, self.kill(process))
            found += [next(entries).name for _ in range(1_500)]
            self.await_other(process, self.kill(process))
            found += [entry.name for entry in entries]
        self.assertEqual(sorted(found), names)

    def test_a_mount_whose_supervisor_dies_goes(self):
        root, _ = self.tree()
        process = self.mount(f"file://{root}")
        daemon = self.daemon_of(process)
        with open(self.at / "big.bin", "rb") as file:
            self.assertEqual(file.read(10), BIG[:10])
            process.kill()
            process.wait()
            harness.wait_until(lambda: not self.is_mounted(self.at), "the unmount")
            self.assertEqual(os.listdir(self.at), [])
            self.assertEqual(file.read(), BIG[10:])
        harness.wait_until(lambda: not os.path.exists(f"/proc/{daemon}"), "the daemon's end")

    def test_a_signal_ends_also_what_hangs(self):
        root, _ = self.tree()
        process = self.mount(f"file://{root}")
        self.kill(process, signal.SIGSTOP)
        process.terminate()
        self.assertEqual(process.wait(timeout=30), 0)
        self.assertFalse(self.is_mounted(self.at))

    def test_it_gives_up_in_the_end(self):
        root, _ = self.tree()
        process = self.mount(f"file://{root}", stderr=subprocess.PIPE)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            daemon = self.daemon_of(process)
            if daemon:
                try:
                    os.kill(daemon, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.02)
        self.assertEqual(process.wait(timeout=1), 1)
        self.assertFalse(self.is_mounted(self.at))
        self.assertEqual(os.listdir(self.at), [])


class InFlight(mount_case.MountTest):
    """Reads that wait for the store while the daemon is killed."""

    def setUp(self):
        super().setUp()
        self.store = hanging_store.HangingStore(self, "dir/f", BIG)

    def kill_under_a_read(self, *flags):
        """What a read ends with that was waiting at the kill: bytes or an errno."""
        process = self.mount("s3://bucket", *flags, env=self.store.environment)
        file = os.open(self.at / "dir/f", os.O_RDONLY | os.O_DIRECT)
        self.addCleanup(os.close, file)
        self.store.mode = "hang"

        def read():
            try:
                return os.pread(file, 4096, 4 << 20)
            except OSError as error:
                return error.errno
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(read)
            self.assertTrue(self.store.waiting.acquire(timeout=20))
            self.store.mode = "serve"
            os.kill(self.daemon_of(process), signal.SIGKILL)
            try:
                return waiting.result(timeout=20), file
            finally:
                self.store.released.set()
                if not waiting.done():  # Else nothing would ever end it.
                    self.take_off_by_force(self.at)

    def test_is_sent_again(self):
        self.assertEqual(self.kill_under_a_read()[0], BIG[4 << 20:(4 << 20) + 4096])

    def test_ends_with_an_error_on_older_kernels_and_the_mount_stays(self):
        ended, file = self.kill_under_a_read("-o", "noresend")
        self.assertEqual(ended, errno.ECONNABORTED)
        self.assertEqual(os.pread(file, 4096, 4 << 20), BIG[4 << 20:(4 << 20) + 4096])
        self.assertEqual((self.at / "dir/f").read_bytes(), BIG)


if __name__ == "__main__":
    unittest.main()
