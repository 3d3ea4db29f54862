"""What the other files here do to workers and to the store, under programs that read through a
mount: they wait, or get an error where SEMANTICS.md says so; never wrong bytes, and never a signal.
"""

import concurrent.futures
import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
import unittest

from pool_case import Fault, PoolTest, harness

import mount_case  # noqa: E402

BLOCK = 256 << 10
RNG = random.Random(21)
BODY = RNG.randbytes(24 * BLOCK + 777)
BUSY_S = 10  # What a busy machine may add to a wait.
# Kinds of the fault proxy, and what a read ends with if nothing else is heard.
LIES = {"status": ({"status": 503}, errno.EIO), "reset": ({"bytes": 1000}, errno.EIO),
        "short": ({"bytes": 1000}, errno.EIO), "wrong_range": ({}, errno.EIO),
        "wrong_bytes_range": ({}, errno.EIO), "ignore_range": ({}, errno.EIO),
        "content_length": ({}, errno.EIO), "long": ({"bytes": 1}, errno.EIO),
        "html": ({}, errno.ESTALE), "etag": ({"text": '"another"'}, errno.ESTALE)}
# Whatever lies there is compared with what is mapped, again and again, past the kernel's pages;
# a line of standard output for each time, until there is standard input.
MAPPED_READER = """
import mmap, os, select, sys
with open(sys.argv[1], "rb") as own, open(sys.argv[2], "rb") as file:
    expected = own.read()
    while not select.select([sys.stdin], [], [], 0)[0]:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            if mapped[:] != expected:
                sys.exit("wrong bytes")
        print("read", flush=True)
"""
# One page of what is mapped.
MAPPED_PAGE = """
import mmap, sys
with open(sys.argv[1], "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
    at = int(sys.argv[2])
    sys.stdout.buffer.write(mapped[at:at + 100])
"""


class MountedTest(PoolTest, mount_case.MountTest):
    def open_past_pages(self, name):
        """A file of the mount, read without the kernel's pages."""
        file = os.open(self.at / name, os.O_RDONLY | os.O_DIRECT)
        self.addCleanup(os.close, file)
        return file

    def page_of(self, name, offset):
        """What a process that has mapped the file ends with, and the bytes it saw."""
        done = subprocess.run([sys.executable, "-c", MAPPED_PAGE, self.at / name, str(offset)],
                              capture_output=True, timeout=60, cwd="/")
        return done.returncode, done.stdout

    def ends(self, function, *arguments):
        """(errno or 0, seconds) of a call."""
        began, error = time.monotonic(), 0
        try:
            function(*arguments)
        except OSError as raised:
            error = raised.errno
        return error, time.monotonic() - began


class Reader:
    """Verifies ranges of a file until it is told to stop."""

    def __init__(self, file, seed, stop):
        self.file, self.random, self.stop = file, random.Random(seed), stop
        self.calls, self.longest, self.wrong = 0, 0, []

    def run(self):
        while not self.stop.is_set():
            offset = self.random.randrange(len(BODY)) & ~4095
            length = self.random.choice((4096, 65_536, 1 << 20))
            began = time.monotonic()
            try:
                if os.pread(self.file, length, offset) != BODY[offset:offset + length]:
                    self.wrong.append(f"other bytes at {offset}")
            except OSError as error:
                self.wrong.append(repr(error))
            self.longest = max(self.longest, time.monotonic() - began)
            self.calls += 1


class Workers(MountedTest):
    def setUp(self):
        super().setUp()
        self.root = self.old_tree({"f": BODY})
        self.members, self.workers = self.start_pool(3, blockSize="256KiB")
        self.mount(f"file://{self.root}", "--members", self.members)

    def start_mapped_reader(self):
        reader = subprocess.Popen(
            [sys.executable, "-c", MAPPED_READER, self.root / "f", self.at / "f"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/")

        def end():
            reader.kill()
            reader.communicate()
        self.addCleanup(end)
        return reader

    def freeze(self, worker):
        worker.process.send_signal(signal.SIGSTOP)
        self.addCleanup(worker.process.send_signal, signal.SIGCONT)

    def restart(self, number):
        old = self.workers[number]
        self.workers[number] = self.start_worker(old.name, old.ready_line.split()[2], self.members)

    def happenings(self):
        """One after the other, with readers going on in between."""
        yield lambda: self.workers[0].kill()
        yield lambda: self.freeze(self.workers[1])
        yield lambda: self.restart(0)
        yield lambda: self.workers[1].process.send_signal(signal.SIGCONT)
        yield lambda: self.workers[2].stop()
        yield lambda: self.freeze(self.workers[0])
        yield lambda: [worker.kill() for worker in self.workers]

    def test_killed_frozen_and_restarted_under_readers(self):
        stop = threading.Event()
        readers = [Reader(self.open_past_pages("f"), seed, stop) for seed in range(4)]
        mapped = self.start_mapped_reader()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            running = [pool.submit(reader.run) for reader in readers]
            try:
                self.assertEqual(mapped.stdout.readline(), b"read\n")
                for happens in self.happenings():
                    happens()
                    before = [reader.calls for reader in readers]
                    harness.wait_until(lambda before=before: all(
                        reader.calls > calls + 10 for reader, calls in zip(readers, before)),
                        "reads that go on", 60)
                    self.assertEqual(mapped.stdout.readline(), b"read\n")
            finally:
                stop.set()
            for one in running:
                one.result(timeout=60)
        said = mapped.communicate(b"enough\n", timeout=60)
        self.assertEqual((mapped.returncode, said[1]), (0, b""))
        self.assertEqual([wrong for reader in readers for wrong in reader.wrong], [])
        self.assertLess(max(reader.longest for reader in readers), 4 + BUSY_S)


class Store(MountedTest):
    TIMEOUT_S = 2

    def setUp(self):
        super().setUp()
        self.start_store()

    def put_all(self, *keys):
        self.server.put_tree(self.make_tree({key: BODY for key in keys}))

    def mount_store(self, *flags):
        self.mount("s3://bucket", *flags, env=self.environment)

    def mount_through_a_worker(self, *flags):
        members, self.workers = self.s3_pool(1, blockSize="256KiB")
        self.mount_store("--members", members, *flags)

    def check_bytes_at(self, file, offset):
        self.assertTrue(os.pread(file, BLOCK, offset) == BODY[offset:offset + BLOCK], "wrong bytes")

    def check_page_is_lost(self, name, offset):
        self.assertEqual(self.page_of(name, offset), (-signal.SIGBUS, b""))

    def test_down(self):
        """What workers hold is read on; all else is an error at the deadline."""
        self.put_all("cached", "cold", "unknown")
        self.mount_through_a_worker("--read-timeout", f"{self.TIMEOUT_S}s")
        self.assertEqual((self.at / "cached").read_bytes(), BODY)
        cached, cold = self.open_past_pages("cached"), self.open_past_pages("cold")
        for kind in ("refuse", "hang"):
            with self.subTest(kind=kind):
                self.proxy.clear()
                self.proxy.set(Fault(kind, seconds=4 * self.TIMEOUT_S))
                subprocess.run(["dd", f"if={self.at}/cached", "iflag=nocache", "count=0"],
                               check=True, capture_output=True)  # Drops its pages.
                self.check_bytes_at(cached, 8 * BLOCK)
                self.assertEqual(self.page_of("cached", 16 * BLOCK),
                                 (0, BODY[16 * BLOCK:][:100]))
                with concurrent.futures.ThreadPoolExecutor(4) as pool:
                    lost = pool.submit(self.ends, self.check_page_is_lost, "cold", 20 * BLOCK)
                    others = [pool.submit(self.ends, *what) for what in (
                        (os.pread, cold, BLOCK, 12 * BLOCK), (os.stat, self.at / "none"),
                        ((self.at / "unknown").read_bytes,))]
                    # The kernel asks for a page up to three times.
                    self.assertLess(lost.result()[1], 3 * self.TIMEOUT_S + BUSY_S)
                    for other in others:
                        error, took = other.result()
                        self.assertEqual(error, errno.EIO)
                        self.assertLess(took, self.TIMEOUT_S + BUSY_S)
        self.proxy.clear()
        self.check_bytes_at(cold, 12 * BLOCK)
        self.assertEqual(self.page_of("cold", 20 * BLOCK), (0, BODY[20 * BLOCK:][:100]))
        self.assertEqual((self.at / "unknown").read_bytes(), BODY)

    def test_slow_and_throttling(self):
        self.put_all("slow", "busy")
        self.mount_through_a_worker()
        self.proxy.set(Fault("delay", seconds=0.3, match="slow"))
        self.assertEqual((self.at / "slow").read_bytes(), BODY)
        self.proxy.clear()
        self.proxy.set(Fault("status", status=503, match="busy", method="GET"), times=3)
        self.assertEqual((self.at / "busy").read_bytes(), BODY)
        self.assertGreaterEqual(sum(entry.fault != "" for entry in self.proxy.log()), 3)

    def open_lies(self, *flags):
        self.put_all(*LIES)
        self.mount_store(*flags)
        self.files = {kind: self.open_past_pages(kind) for kind in LIES}

    def test_a_lie_that_is_told_once_costs_time(self):
        self.open_lies()
        for kind, (fields, error) in LIES.items():
            # A new version, as far as one can tell. Bytes beyond the promise end a read at once.
            if error == errno.ESTALE or kind == "long":
                continue
            with self.subTest(kind=kind):
                self.proxy.clear()
                self.proxy.set(Fault(kind, match=f"/{kind}", **fields), times=1)
                self.check_bytes_at(self.files[kind], 2 * BLOCK)
                self.assertEqual(self.proxy.log()[0].fault, kind)

    def test_a_lie_that_lasts_is_an_error_at_the_deadline(self):
        self.open_lies("--read-timeout", f"{self.TIMEOUT_S}s")
        for kind, (fields, _) in LIES.items():
            self.proxy.set(Fault(kind, match=f"/{kind}", **fields))
        with concurrent.futures.ThreadPoolExecutor(len(LIES)) as pool:
            asked = {kind: pool.submit(self.ends, os.pread, self.files[kind], BLOCK, 4 * BLOCK)
                     for kind in LIES}
            for kind, ended in asked.items():
                with self.subTest(kind=kind):
                    error, took = ended.result()
                    self.assertEqual(error, LIES[kind][1])
                    self.assertLess(took, self.TIMEOUT_S + BUSY_S)
        self.proxy.clear()
        for file in self.files.values():
            self.check_bytes_at(file, 4 * BLOCK)


if __name__ == "__main__":
    unittest.main()
