"""Memory: the quota holds at every instant; a tmpfs that is full costs caching, not a signal."""

import os
import pathlib
import random
import shutil
import subprocess
import threading
import unittest

from pool_case import PoolTest, harness
from wire_client import BLOCK_DATA, FILL_ONLY, FILLED, INSIST, WELCOME, WireClient

MIB = 1 << 20
BLOCK = 256 << 10
RNG = random.Random(10)


class Sampler:
    """The most that the tier's files had allocated, looked at every 10 ms."""

    def __init__(self, directory):
        self.directory = directory
        self.most = self.samples = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._end.wait(0.01):
            blocks = sum(os.stat(path).st_blocks for path in self.directory.iterdir())
            self.most = max(self.most, blocks * 512)
            self.samples += 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()


class Quota(PoolTest):
    def start_one(self, memory, *more):
        name = self.dir.name.removeprefix("fb-e2e-").replace("_", "-")
        address = f"127.0.0.1:{harness.free_port()}"
        self.members = self.write_members([(name, address)], allow=["file:///"],
                                          blockSize="256KiB")
        self.worker = self.start_worker(name, address, self.members, *more, memory=memory)

    def read_tree(self):
        """Reads `self.contents` in order through the pool and compares."""
        urls = [f"file://{self.root}/{name}" for name in self.contents]
        self.check_bytes(self.cat(self.members, *urls), b"".join(self.contents.values()))

    def pass_over(self):
        """Has the worker read the tree in order, block by block: how many it held already.

        By the wire: a client turns to the store when a worker is slow, and that is not a hit."""
        client = WireClient(self.worker.ready_line.split()[2])
        self.addCleanup(client.close)
        self.assertEqual(client.greet(BLOCK).type, WELCOME)
        hits = 0
        for name in self.contents:
            file = client.stat("file://", f"{self.root}/{name}"[1:])
            for index in range(MIB // BLOCK):
                client.request(file, index, BLOCK, FILL_ONLY | INSIST)
            for _ in range(MIB // BLOCK):
                frame = client.receive()
                hits += frame.type == BLOCK_DATA and not frame.flags & FILLED
        return hits

    def make_contents(self, mebibytes):
        self.contents = {f"{i:03}": RNG.randbytes(MIB) for i in range(mebibytes)}
        self.root = self.old_tree(self.contents)

    def mount(self, size):
        """A tmpfs of this test alone."""
        where = self.dir / "tmpfs"
        where.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(where)],
                       check=True)
        return where

    def test_below_one_block(self):
        members = self.write_members([("w", f"unix:{self.dir}/w")], allow=["file:///"],
                                     blockSize="4MiB")
        for memory, words in (("1MiB", "below one block"), ("4MiB", "holds no block"),
                              ("0", "--memory")):
            with self.subTest(memory=memory):
                outcome = self.run_forebay(
                    "worker", "--name", "w", "--address", f"unix:{self.dir}/w", "--memory",
                    memory, "--members", members, "--state-dir", self.state, timeout=20)
                self.check(outcome, 2, words)
        self.assertFalse((self.state / "w" / "tier").exists())

    def test_a_tmpfs_smaller_than_the_quota(self):
        where = self.mount("12m")
        self.make_contents(24)
        self.start_one("64MiB", "--tier-dir", where)
        self.read_tree()
        self.pass_over()
        self.assertIn("refuses to let the cache grow", self.worker.log.read_text())
        self.assertGreater(self.pass_over(), 4)  # It caches what fits.
        self.assertEqual(self.worker.stop(), 0)
        self.assertEqual(list(where.iterdir()), [])

    def test_a_tmpfs_that_somebody_else_fills(self):
        where = self.mount("48m")
        (where / "tier").mkdir()
        self.make_contents(24)
        with open(where / "foreign", "wb", buffering=0) as foreign:
            # A tier takes some memory ahead of its use: it finds little.
            os.posix_fallocate(foreign.fileno(), 0, 40 * MIB)
            self.start_one("32MiB", "--tier-dir", where / "tier")
            with self.assertRaises(OSError):
                foreign.seek(0, os.SEEK_END)
                while True:
                    foreign.write(bytes(64 << 10))
        self.read_tree()
        self.pass_over()
        self.assertLess(self.pass_over(), 32)
        self.assertIsNone(self.worker.process.poll(), "the worker has died")
        (where / "foreign").unlink()
        harness.wait_until(lambda: self.pass_over() > 48, "a tier that grows again", 60)
        self.read_tree()
        self.assertEqual(self.worker.stop(), 0)

    def test_a_full_tmpfs_before_the_first_block(self):
        where = self.mount("8m")
        (where / "tier").mkdir()
        with open(where / "foreign", "wb") as foreign:
            os.posix_fallocate(foreign.fileno(), 0, 8 * MIB - 16384)
        with self.assertRaisesRegex(AssertionError, "no room for a first block"):
            self.start_one("32MiB", "--tier-dir", where / "tier")

    def test_never_above_the_quota_and_a_loop_hits(self):
        where = pathlib.Path(f"/dev/shm/{self.dir.name}")
        where.mkdir()
        self.addCleanup(shutil.rmtree, where)
        self.make_contents(256)
        self.start_one("64MiB", "--tier-dir", where)
        with Sampler(where) as sampler:
            self.assertEqual(self.pass_over(), 0)
            hits = self.pass_over()
            self.read_tree()
        print(f"{hits} hits of 1024, at most {sampler.most} bytes in {sampler.samples} samples")
        self.assertGreaterEqual(hits, 0.2 * 1024)
        self.assertLessEqual(sampler.most, 64 * MIB)
        self.assertGreater(sampler.most, 56 * MIB)  # It was used, too.
        self.assertGreater(sampler.samples, 10)
        self.assertEqual(self.worker.stop(), 0)


if __name__ == "__main__":
    unittest.main()
