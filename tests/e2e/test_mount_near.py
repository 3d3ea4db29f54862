"""A mount with a near worker: what was read here is read again from this node's memory."""

import concurrent.futures
import hashlib
import mmap
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import group_case
import harness
import mount_case
import test_mount

RANDOM = random.Random(17)
BIG = RANDOM.randbytes((9 << 20) + 12_345)
MIB = 1 << 20


PIECES = {f"f{i:02}": RANDOM.randbytes(3 * MIB + i) for i in range(20)}
FILES = {"big.bin": BIG, "mid": BIG[:300_000], "tiny": b"t", "a": BIG[:MIB],
         "b": BIG[MIB:2 * MIB], "other": BIG[:5 * MIB], **PIECES}
shared = None


def setUpModule():
    """One tree for all tests that do not change it: files are kept once they are 2 s old."""
    global shared
    shared = pathlib.Path(tempfile.mkdtemp(prefix="fb-e2e-"))
    unittest.addModuleCleanup(shutil.rmtree, shared)
    shared.chmod(0o755)
    for name, content in FILES.items():
        (shared / name).write_bytes(content)
    harness.await_old(shared)


def tier_of(state):
    """The directory of the only near worker's tier."""
    (tier,) = pathlib.Path(state).glob("near*/tier")
    return tier


def taken(tier):
    """Bytes that the tier's file system has given out."""
    status = os.statvfs(tier)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


class NearTest(mount_case.MountTest):
    def mount_near(self, root, memory="64MiB", *flags):
        return self.mount(f"file://{root}", "--near-memory", memory, *flags)

    def stop_all(self, process):
        """Nothing of the mount runs any more, until the test ends."""
        pids = [process.pid, self.daemon_of(process), *mount_case.children_of(process.pid)]
        pids.append(self.near_of(process))
        for pid in set(pids):
            os.kill(pid, signal.SIGSTOP)
            self.addCleanup(self.go_on, pid)

    @staticmethod
    def go_on(pid):
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass


class SameTree(test_mount.Reads, NearTest):
    """Everything that holds of a mount, once files are old enough to be kept."""

    flags = ("--near-memory", "64MiB")

    def prepare(self, tree=None):
        root = super().prepare(tree)
        harness.await_old(root)
        return root


class Passthrough(NearTest):
    def test_the_kernel_reads_without_us(self):
        process = self.mount_near(shared)
        self.assertEqual((self.at / "big.bin").read_bytes(), BIG)
        with open(self.at / "big.bin", "rb", buffering=0) as big, \
                open(self.at / "mid", "rb", buffering=0) as mid:
            self.stop_all(process)
            self.assertEqual(os.pread(big.fileno(), len(BIG), 0), BIG)
            self.assertEqual(os.pread(mid.fileno(), 1000, 299_500), BIG[299_500:300_000])
            with mmap.mmap(big.fileno(), 0, prot=mmap.PROT_READ) as mapped:
                self.assertEqual(hashlib.sha256(mapped).digest(), hashlib.sha256(BIG).digest())

    def test_without_the_kernels_help_bytes_are_the_same(self):
        root = self.old_tree({"big.bin": BIG, "mid": BIG[:300_000], "tiny": b"t"})
        self.mount_near(root, "64MiB", "-o", "nopassthrough")
        for _ in range(2):
            self.assertEqual((self.at / "big.bin").read_bytes(), BIG)
            self.assertEqual((self.at / "mid").read_bytes(), BIG[:300_000])
            self.assertEqual((self.at / "tiny").read_bytes(), b"t")
        # What is read past the kernel's pages comes from the near worker.
        (root / "big.bin").unlink()
        fd = os.open(self.at / "big.bin", os.O_RDONLY | os.O_DIRECT)
        self.addCleanup(os.close, fd)
        self.assertEqual(os.pread(fd, MIB, 5 * MIB), BIG[5 * MIB:6 * MIB])

    def test_one_way_to_read_while_it_is_open(self):
        """The kernel refuses an inode that is buffered and passed through at once."""
        self.mount_near(shared)
        with open(self.at / "big.bin", "rb", buffering=0) as buffered:
            self.assertEqual(buffered.read(MIB), BIG[:MIB])
            for _ in range(3):  # Whole by now, but open as it is.
                self.assertEqual((self.at / "big.bin").read_bytes(), BIG)
            self.assertEqual(os.pread(buffered.fileno(), len(BIG), 0), BIG)

        def read(seed):
            own = random.Random(seed)
            for _ in range(100):
                flags = os.O_RDONLY | (os.O_DIRECT if seed % 4 == 0 else 0)
                fd = os.open(self.at / "big.bin", flags)
                try:
                    offset = own.randrange(len(BIG)) & ~4095
                    if os.pread(fd, 8192, offset) != BIG[offset:offset + 8192]:
                        return f"wrong bytes at {offset}"
                finally:
                    os.close(fd)
            return ""
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            self.assertEqual("".join(pool.map(read, range(16))), "")

    def test_a_replaced_file_is_another_one(self):
        root = self.old_tree({"f": BIG[:MIB]})
        self.mount_near(root)
        with open(self.at / "f", "rb", buffering=0) as old:
            (root / "new").write_bytes(BIG[MIB:2 * MIB])
            os.rename(root / "new", root / "f")
            self.assertEqual(old.read(), BIG[:MIB])


class Quota(NearTest):
    def test_four_times_the_quota_read_twice(self):
        files = PIECES
        self.mount_near(shared, "16MiB")
        kept = open(self.at / "f00", "rb", buffering=0)
        self.addCleanup(kept.close)
        most = 0
        for _ in range(2):
            for name, content in files.items():
                self.assertEqual((self.at / name).read_bytes(), content, name)
                most = max(most, taken(tier_of(self.state)))
        self.assertLessEqual(most, 16 * MIB)
        self.assertGreater(most, 8 * MIB)
        self.assertEqual(os.pread(kept.fileno(), 4 * MIB, 0), files["f00"])

    def test_what_is_open_counts_and_the_rest_goes_past(self):
        files = dict(list(PIECES.items())[:6])
        self.mount_near(shared, "8MiB")
        fds = [os.open(self.at / name, os.O_RDONLY) for name in files]
        self.addCleanup(lambda: [os.close(fd) for fd in fds])
        for _ in range(2):
            for fd, content in zip(fds, files.values()):
                self.assertEqual(os.pread(fd, 4 * MIB, 0), content)
            self.assertLessEqual(taken(tier_of(self.state)), 8 * MIB)


class Deaths(NearTest):
    def test_of_the_near_worker(self):
        process = self.mount_near(shared)
        self.assertEqual((self.at / "big.bin").read_bytes(), BIG)
        with open(self.at / "big.bin", "rb", buffering=0) as whole, \
                open(self.at / "other", "rb", buffering=0) as part:
            self.assertEqual(part.read(MIB), BIG[:MIB])
            near = self.near_of(process)
            os.kill(near, signal.SIGKILL)
            self.assertEqual(os.pread(whole.fileno(), len(BIG), 0), BIG)
            self.assertEqual(os.pread(part.fileno(), 5 * MIB, 0), BIG[:5 * MIB])
            harness.wait_until(lambda: self.near_of(process) not in (None, near), "another one")
            # What is open counts in the new one, too.
            harness.wait_until(lambda: taken(tier_of(self.state)) >= len(BIG), "its memory")
        self.assertEqual((self.at / "other").read_bytes(), BIG[:5 * MIB])
        self.assertEqual((self.at / "big.bin").read_bytes(), BIG)

    def test_of_a_near_worker_that_hangs(self):
        process = self.mount_near(shared)
        self.assertEqual((self.at / "a").read_bytes(), BIG[:MIB])
        near = self.near_of(process)
        os.kill(near, signal.SIGSTOP)
        self.addCleanup(self.go_on, near)
        began = time.monotonic()
        self.assertEqual((self.at / "b").read_bytes(), BIG[MIB:2 * MIB])
        self.assertLess(time.monotonic() - began, 15)
        harness.wait_until(lambda: self.near_of(process) not in (None, near), "another one", 30)

    def test_of_the_daemon(self):
        process = self.mount_near(shared)
        self.assertEqual((self.at / "big.bin").read_bytes(), BIG)
        for _ in range(3):
            with open(self.at / "big.bin", "rb", buffering=0) as file:
                daemon = self.daemon_of(process)
                os.kill(daemon, signal.SIGKILL)
                self.assertEqual(os.pread(file.fileno(), len(BIG), 0), BIG)
                harness.wait_until(lambda: self.daemon_of(process) not in (None, daemon), "another")
                with open(self.at / "big.bin", "rb", buffering=0) as again:
                    self.assertEqual(again.read(), BIG)
            self.assertEqual((self.at / "mid").read_bytes(), BIG[:300_000])
            self.assertEqual((self.at / "tiny").read_bytes(), b"t")
            self.assertEqual((self.at / "big.bin").read_bytes(), BIG)
            time.sleep(1.1)  # Longer than a short life.
        # Forgotten by the kernel, it is as any other, and no file is kept open for nobody.
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("2")
        self.assertEqual((self.at / "big.bin").read_bytes(), BIG)

    def test_of_the_supervisor_takes_all_with_it(self):
        process = self.mount_near(shared)
        self.assertEqual((self.at / "big.bin").read_bytes(), BIG)
        pids = [self.near_of(process), self.daemon_of(process)]
        process.kill()
        process.wait()
        harness.wait_until(lambda: not self.is_mounted(self.at), "no mount")
        harness.wait_until(lambda: not any(map(group_case.runs, pids)), "no processes", 30)
        harness.wait_until(lambda: not list(self.state.glob("near*")), "nothing left")

    def test_nothing_is_left(self):
        process = self.mount_near(shared)
        self.assertEqual((self.at / "big.bin").read_bytes(), BIG)
        self.check(self.run_forebay("umount", self.at), 0)
        self.assertEqual(process.wait(timeout=20), 0)
        self.assertEqual(list(self.state.glob("near*")), [])


class Flags(NearTest):
    def test_a_store_s_mount_has_one_unless_told(self):
        self.addCleanup(self.take_off, self.at)
        for flags, kept in (((), len(BIG)), (("--near-memory", "0"), None)):
            self.check(self.run_forebay("mount", f"file://{shared}", self.at, "--state-dir",
                                        self.state, *flags), 0)
            self.assertEqual((self.at / "big.bin").read_bytes(), BIG)
            if kept is None:
                self.assertEqual(list(self.state.glob("near*/tier")), [])
            else:
                self.assertGreaterEqual(taken(tier_of(self.state)), kept)
            self.check(self.run_forebay("umount", self.at), 0)
            harness.wait_until(lambda: not list(self.state.glob("near*")), "nothing left")

    def test_bad_sizes(self):
        (self.dir / "data").mkdir()
        for size, words in (("1 KiB", "write at least that"), ("900 TiB", "write less than that")):
            outcome = self.run_forebay("mount", f"file://{self.dir}/data", self.at, "--near-memory",
                                       size.replace(" ", ""), "--state-dir", self.state)
            self.check(outcome, 2)
            self.assertIn(f'--near-memory "{size}"', outcome.err)
            self.assertIn(words, outcome.err)
            self.assertFalse(self.is_mounted(self.at))


class Shared(group_case.GroupTest, NearTest):
    """`forebay worker --role near`: all mounts of the host have it."""

    def start_near(self, memory="64MiB"):
        near = self.start_forebay("worker", "--role", "near", "--memory", memory, "--state-dir",
                                  self.state, stdout=subprocess.PIPE)
        line = near.stdout.readline().decode()
        self.assertEqual(line.split()[:2], ["ready", "near"])
        return near

    def test_a_second_mount_reads_what_the_first_one_did(self):
        self.up(1)
        self.create("prices", shared)
        self.start_near()
        one, two = self.at, self.dir / "two"
        two.mkdir()
        self.mount("prices", at=one)
        self.assertEqual((one / "big.bin").read_bytes(), BIG)
        sent = self.metrics()["forebay_worker_sent_bytes_total"]
        self.assertGreaterEqual(sent, len(BIG))
        self.mount("prices", at=two)
        self.assertEqual((two / "big.bin").read_bytes(), BIG)
        self.assertEqual((two / "tiny").read_bytes(), b"t")
        self.assertLess(self.metrics()["forebay_worker_sent_bytes_total"] - sent, MIB)

    def test_it_comes_and_goes(self):
        self.up(1)
        self.create("prices", shared)
        self.mount("prices")
        self.assertEqual((self.at / "big.bin").read_bytes(), BIG)
        near = self.start_near()
        time.sleep(1.1)  # So long a near worker is left alone that was not there.
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
        self.assertEqual((self.at / "big.bin").read_bytes(), BIG)
        harness.wait_until(lambda: taken(tier_of(self.state)) >= len(BIG), "its files")
        near.terminate()
        self.assertEqual(near.wait(timeout=20), 0)
        self.assertEqual((self.at / "big.bin").read_bytes(), BIG)
        self.assertEqual(list(self.state.glob("near*")), [])

    def test_wrong_flags(self):
        for flags, words in ((["--memory", "1GiB", "--name", "x"], '--name "x"'),
                             ([], "--memory is missing"),
                             (["--memory", "1KiB"], '--memory "1 KiB"')):
            outcome = self.forebay("worker", "--role", "near", *flags)
            self.check(outcome, 2)
            self.assertIn(words, outcome.err)
        self.check(self.forebay("worker", "--role", "far", "--memory", "1GiB"), 2)


if __name__ == "__main__":
    unittest.main()
