"""What programs do to themselves and to a mount: forks, stops, too many files; and a tree that
changes under what is open. test_mount_places.py has the places where a mount can be.

FOREBAY_FORKS: how many children read at once what their parent has open.
"""

import concurrent.futures
import errno
import itertools
import mmap
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import unittest
import unittest.mock

import hanging_store
import harness
import mount_case

RANDOM = random.Random(31)
MIB = 1 << 20
BIG = RANDOM.randbytes(24 * MIB + 12_345)
OTHER = RANDOM.randbytes(len(BIG))
FORKS = int(os.environ.get("FOREBAY_FORKS", "250"))


class FaultsTest(mount_case.MountTest):
    def end(self, mounted):
        self.check(self.run_forebay("umount", self.at), 0)
        self.assertEqual(mounted.wait(timeout=20), 0)

    def open(self, name, flags=0):
        file = os.open(self.at / name, os.O_RDONLY | flags)
        self.addCleanup(os.close, file)
        return file

    @staticmethod
    def start_child(function):
        """The pid of a child, which ends with 0 if `function()` is true there."""
        pid = os.fork()
        if pid == 0:
            is_right = False
            try:
                is_right = function()
            finally:
                os._exit(0 if is_right else 1)  # Whatever happens: nothing else is its business.
        return pid

    @staticmethod
    def end_of(pid):
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def in_child(self, function):
        return self.end_of(self.start_child(function))


class Changes(FaultsTest):
    def replace(self, root):
        (root / "new").write_bytes(OTHER)
        os.rename(root / "new", root / "f")

    def test_replaced_while_mapped_and_held_by_a_worker(self):
        root = self.old_tree({"f": BIG})
        members, _ = self.start_pool(1)
        self.mount(f"file://{root}", "--members", members)
        file = self.open("f", os.O_DIRECT)
        for offset in range(0, len(BIG), MIB):  # The worker has it, the kernel has not.
            os.pread(file, MIB, offset)
        with mmap.mmap(file, 0, prot=mmap.PROT_READ) as mapped:
            self.assertEqual(mapped[:100], BIG[:100])
            self.replace(root)
            self.assertEqual(self.in_child(lambda: mapped[:] == BIG), 0)

    def test_replaced_while_mapped_and_lost(self):
        root = self.old_tree({"f": BIG})
        self.mount(f"file://{root}", "--metadata-ttl", "minimal")
        file = self.open("f")
        with mmap.mmap(file, 0, prot=mmap.PROT_READ) as mapped:
            self.assertEqual(mapped[:100], BIG[:100])
            self.replace(root)
            self.assertEqual(mapped[:100], BIG[:100])
            # Nobody has what lies there: a signal is right, and bytes of the new one are not.
            self.assertEqual(self.in_child(lambda: mapped[20 * MIB] + 1 > 0), -signal.SIGBUS)
            self.assertEqual((self.at / "f").read_bytes(), OTHER)
            self.assertEqual(mapped[:100], BIG[:100])

    def list_slowly(self, change):
        """The names of a directory, in which something changes after every hundred of them."""
        found = []
        with os.scandir(self.at / "d") as entries:
            while True:
                some = [entry.name for entry in itertools.islice(entries, 100)]
                found += some
                if len(some) < 100:
                    return found
                change()

    def test_a_directory_that_changes_while_it_is_listed(self):
        stay = {f"{i:05}-stays" for i in range(3_500)}
        go = [f"{i:05}-goes" for i in range(3_500)]
        root = self.make_tree({f"d/{name}": b"" for name in [*stay, *go]})
        members, _ = self.start_pool(1, staleness="0s")
        for flags in ((), ("--metadata-ttl", "minimal"), ("--members", members)):
            with self.subTest(flags=flags):
                mounted = self.mount(f"file://{root}", *flags)
                going, number = list(go), itertools.count()

                def change():
                    for _ in range(20):
                        with open(root / f"d/{RANDOM.randrange(3_500):05}-came-{next(number)}",
                                  "wb"):
                            pass
                        os.unlink(root / "d" / going.pop(RANDOM.randrange(len(going))))
                found = self.list_slowly(change)
                self.assertEqual(len(found), len(set(found)))
                self.assertEqual(stay - set(found), set())
                self.assertEqual(set(going) - set(found), set())
                self.end(mounted)
                for name in set(go) - set(going):
                    (root / "d" / name).touch()

    def test_a_directory_that_goes_while_it_is_listed(self):
        names = {f"{i:05}" for i in range(3_500)}
        root = self.make_tree({f"d/{name}": b"" for name in names})
        self.mount(f"file://{root}", "--metadata-ttl", "minimal")
        found = []
        try:
            found = self.list_slowly(lambda: shutil.rmtree(root / "d", ignore_errors=True))
        except OSError as error:
            self.assertIn(error.errno, (errno.ENOENT, errno.ESTALE))
        self.assertEqual(len(found), len(set(found)))
        self.assertLessEqual(set(found), names)
        self.assertFalse((self.at / "d").exists())


class Limits(FaultsTest):
    def test_readers_that_fork_in_bulk(self):
        root = self.old_tree({"f": BIG})
        for flags in (("--near-memory", "64MiB"), ()):
            with self.subTest(flags=flags):
                mounted = self.mount(f"file://{root}", *flags)
                self.fork_readers()
                harness.wait_until(lambda: self.open_files() == 0, "no open files")
                self.end(mounted)

    def open_files(self):
        stats = harness.parse_metrics((self.at / ".forebay/stats").read_text())
        return stats["forebay_mount_open_files_count"]

    def fork_readers(self):
        with open(self.at / "f", "rb", buffering=0) as file, \
                mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            self.assertEqual(file.read(10), BIG[:10])

            def read(number):
                at = random.Random(number).randrange(len(BIG) - 5000)
                back = len(BIG) - 5000 - at
                return (os.pread(file.fileno(), 5000, at) == BIG[at:at + 5000]
                        and mapped[back:back + 5000] == BIG[back:back + 5000])
            pids = [self.start_child(lambda number=number: read(number))
                    for number in range(FORKS)]
            ends = [self.end_of(pid) for pid in pids]
            self.assertEqual(ends, [0] * FORKS)
            self.assertEqual(os.pread(file.fileno(), 10, 0), BIG[:10])

    def limit(self, pid, count):
        """How many descriptors a process may have."""
        subprocess.run(["prlimit", f"--pid={pid}", f"--nofile={count}:"], check=True)

    def open_many(self, count):
        """Files open at once, each verified: (how many, the errnos of the others)."""
        opened, errors = [], set()
        try:
            for number in range(count):
                try:
                    opened.append(os.open(self.at / f"f{number % 50}", os.O_RDONLY | os.O_DIRECT))
                    if os.pread(opened[-1], 8192, 4096) != BIG[number % 50:][4096:4096 + 8192]:
                        errors.add("wrong bytes")
                except OSError as error:
                    errors.add(error.errno)
        finally:
            for file in opened:
                os.close(file)
        return len(opened), errors

    def test_a_daemon_without_descriptors(self):
        root = self.old_tree({f"f{i}": BIG[i:MIB] for i in range(50)})
        members, _ = self.start_pool(1)
        for flags in (("--near-memory", "64MiB"), ("--members", members), ()):
            with self.subTest(flags=flags):
                mounted = self.mount(f"file://{root}", *flags)
                self.assertEqual(self.open_many(10), (10, set()))
                daemon = self.daemon_of(mounted)
                before = resource.prlimit(daemon, resource.RLIMIT_NOFILE)[0]
                # Not one more, as if they were used up by what was not foreseen.
                self.limit(daemon, len(os.listdir(f"/proc/{daemon}/fd")))
                self.assertLessEqual(self.open_many(60)[1], {errno.EIO})
                self.assertEqual((self.at / "f1").stat().st_size, MIB - 1)
                self.limit(daemon, before)
                self.assertEqual(self.open_many(60), (60, set()))
                self.assertEqual(self.daemon_of(mounted), daemon)
                self.end(mounted)

    def mount_with_limit(self, limit, *flags):
        """Started by who may have so many descriptors: "SOFT:HARD"."""
        starter = self.dir / "forebay"
        starter.write_text(f"#!/bin/sh\nexec prlimit --nofile={limit} {harness.BINARY} \"$@\"\n")
        starter.chmod(0o755)
        with unittest.mock.patch.object(harness, "BINARY", str(starter)):
            return self.mount(*flags)

    def test_more_open_files_than_descriptors(self):
        """Files that are near take a descriptor each, as long as there are some."""
        root = self.old_tree({f"f{i}": BIG[i:MIB] for i in range(50)})
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        for limit in (f"100:{hard}", "100:100"):
            for flags in (("--near-memory", "64MiB"),
                          ("--near-memory", "64MiB", "-o", "nopassthrough")):
                with self.subTest(limit=limit, flags=flags):
                    mounted = self.mount_with_limit(limit, f"file://{root}", *flags)
                    raised = resource.prlimit(self.daemon_of(mounted), resource.RLIMIT_NOFILE)
                    self.assertEqual(raised[0], int(limit.split(":")[1]))
                    for _ in range(2):
                        self.assertEqual(self.open_many(200), (200, set()))
                    self.end(mounted)

    def test_a_reader_without_descriptors(self):
        root = self.make_tree({"f": BIG[:MIB]})
        self.mount(f"file://{root}")
        script = """
import errno, os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
files = []
try:
    while True:
        files.append(os.open(sys.argv[1], os.O_RDONLY))
except OSError as error:
    assert error.errno == errno.EMFILE, error
assert all(len(os.pread(file, 4096, 8192)) == 4096 for file in files)
os.close(files.pop())
os.close(os.open(sys.argv[1], os.O_RDONLY))
"""
        subprocess.run([sys.executable, "-c", script, self.at / "f"], check=True, cwd="/")
        harness.wait_until(lambda: self.open_files() == 0, "no open files")


class Suspended(FaultsTest):
    def test_a_reader_that_is_stopped_in_the_middle_of_a_read(self):
        store = hanging_store.HangingStore(self, "dir/f", BIG)
        self.mount("s3://bucket", env=store.environment)
        self.assertEqual(os.listdir(self.at / "dir"), ["f"])
        with open(self.at / "dir/f", "rb") as other:
            self.assertEqual(other.read(10), BIG[:10])
            store.mode = "hang"
            reader = subprocess.Popen(["sha256sum", self.at / "dir/f"], stdout=subprocess.PIPE)
            self.addCleanup(reader.stdout.close)
            self.addCleanup(reader.wait)
            self.addCleanup(reader.kill)
            self.assertTrue(store.waiting.acquire(timeout=20))
            reader.send_signal(signal.SIGSTOP)
            self.assertEqual((self.at / "dir/f").stat().st_size, len(BIG))
            store.mode = "serve"
            store.released.set()
            self.assertEqual((self.at / "dir/f").read_bytes(), BIG)
            self.assertEqual(other.read(), BIG[10:])
            self.assertIsNone(reader.poll())
        reader.send_signal(signal.SIGCONT)
        expected = subprocess.run(["sha256sum"], input=BIG, capture_output=True, check=True)
        self.assertEqual(reader.stdout.read().split()[0], expected.stdout.split()[0])
        self.assertEqual(reader.wait(timeout=20), 0)

    def test_many_that_are_stopped_keep_nobody_waiting(self):
        root = self.old_tree({"f": BIG})
        self.mount(f"file://{root}", "--near-memory", "64MiB")
        readers = [subprocess.Popen(["cat", self.at / "f"], stdout=subprocess.PIPE)
                   for _ in range(80)]  # More than the mount has threads.
        try:
            for reader in readers:
                self.assertEqual(reader.stdout.read(1000), BIG[:1000])
                reader.send_signal(signal.SIGSTOP)
            self.assertEqual((self.at / "f").read_bytes(), BIG)
            for reader in readers:
                reader.send_signal(signal.SIGCONT)
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                rest = pool.map(lambda reader: reader.stdout.read() == BIG[1000:], readers)
                self.assertTrue(all(rest))
            self.assertEqual([reader.wait(timeout=20) for reader in readers], [0] * 80)
        finally:
            for reader in readers:
                reader.kill()
                reader.wait()
                reader.stdout.close()


if __name__ == "__main__":
    unittest.main()
