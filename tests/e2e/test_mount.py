"""The mount: unchanged programs see the tree as it is, whatever happens meanwhile."""

import concurrent.futures
import errno
import hashlib
import mmap
import os
import pathlib
import random
import signal
import subprocess
import tarfile
import time
import unittest

import hanging_store
import harness
import mount_case

RANDOM = random.Random(11)
BIG = RANDOM.randbytes((9 << 20) + 12_345)  # Three blocks, the last one short.
TREE = {"big.bin": BIG, "small.txt": b"hello\n", "empty": b"", "sub/deep/x": b"x" * 4097,
        "sub/y": b"yy", "with space": b"1", "new\nline": b"2", "n" * 255: b"3", "-dash": b"4",
        "\u00fcn\u00efcode-\u65e5\u672c": b"5", "%41": b"6", "back\\slash": b"7"}
LONG_AGO = 1_767_225_600


def run(*command, cwd=None):
    done = subprocess.run(command, capture_output=True, cwd=cwd, timeout=120)
    return done.returncode, done.stdout, done.stderr


def call(function, *arguments):
    """The errno that a call ends with, 0 if it succeeds."""
    try:
        result = function(*arguments)
        if isinstance(result, int) and function is os.open:
            os.close(result)
        return 0
    except OSError as error:
        return error.errno


class Reads:
    """Run once straight from the store and once through a pool of workers."""

    def prepare(self, tree=None):
        root = self.make_tree(TREE if tree is None else tree)
        for path in root.rglob("*"):
            os.utime(path, (LONG_AGO, LONG_AGO))
        self.mount(f"file://{root}", *self.flags)
        return root

    def test_the_tree_is_the_same(self):
        root = self.prepare()

        def walk(top):
            found = {}
            for path in pathlib.Path(top).rglob("*"):
                status = path.stat()
                content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
                found[os.fsencode(path.relative_to(top))] = (
                    status.st_size if content else None, status.st_mtime_ns, content)
            return found
        self.assertEqual(walk(self.at), walk(root))

    def test_programs_see_the_same(self):
        root = self.prepare()
        bind = self.bind_read_only(root)
        for command in (["find", ".", "-type", "f", "-printf", "%P %s %T@ %m %U %G\\0"],
                        ["find", ".", "-type", "d", "-links", "+5"],
                        ["grep", "-r", "-c", "x", "."], ["du", "-s", "--apparent-size", "sub"],
                        ["du", "-a", "-b", "."], ["ls", "-lR", "--time-style=full-iso", "sub/deep"],
                        ["sha256sum", "--", *sorted(k for k in TREE if "/" not in k)],
                        ["cat", "big.bin"], ["tail", "-c", "100000", "big.bin"],
                        ["dd", "if=big.bin", "bs=3333", "skip=999", "status=none"]):
            with self.subTest(command=command[0]):
                a, b = run(*command, cwd=self.at), run(*command, cwd=bind)
                if command[0] in ("find", "grep", "du"):  # They list in the order of the directory.
                    separator = b"\0" if b"\0" in a[1] else b"\n"
                    a, b = ((c, sorted(out.split(separator)), e) for c, out, e in (a, b))
                self.assertEqual(a, b)
        self.assertEqual(run("diff", "-r", str(root), str(self.at))[0], 0)
        self.assertEqual(run("rsync", "-rtcni", f"{root}/", f"{self.at}/"), (0, b"", b""))

    def test_tar(self):
        root = self.prepare()
        archive = self.dir / "a.tar"
        self.assertEqual(run("tar", "-cf", str(archive), "-C", str(self.at), "."), (0, b"", b""))
        with tarfile.open(archive) as tar:
            tar.extractall(self.dir / "out", filter="data")
        self.assertEqual(run("diff", "-r", str(root), str(self.dir / "out"))[0], 0)

    def test_mmap(self):
        self.prepare()
        with open(self.at / "big.bin", "rb") as file, \
                mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            for offset in (0, 5_000_000, len(BIG) - 10, 4 << 20):
                self.assertEqual(mapped[offset:offset + 10], BIG[offset:offset + 10])
            self.assertEqual(hashlib.sha256(mapped).digest(), hashlib.sha256(BIG).digest())

    def test_many_readers_of_one_file(self):
        self.prepare()

        def read(seed):
            own = random.Random(seed)
            fd = os.open(self.at / "big.bin", os.O_RDONLY | (os.O_DIRECT if seed % 3 == 0 else 0))
            try:
                for _ in range(60):
                    offset = own.randrange(len(BIG) + 1000) & (~511 if seed % 3 == 0 else ~0)
                    length = own.randrange(1, 300_000)
                    if os.pread(fd, length, offset) != BIG[offset:offset + length]:
                        return f"seed {seed}: {length} bytes at {offset}"
            finally:
                os.close(fd)
            return ""
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            self.assertEqual("".join(pool.map(read, range(32))), "")

    def test_a_large_directory(self):
        names = [f"{i:05}" for i in range(2_345)]
        self.prepare({f"d/{name}": b"" for name in names})
        self.assertEqual(sorted(os.listdir(self.at / "d")), names)
        with os.scandir(self.at / "d") as entries:
            self.assertEqual(sum(entry.is_file() for entry in entries), len(names))
        # More lookups than one page of the pool's listing.
        self.assertTrue(all((self.at / "d" / name).stat().st_size == 0 for name in names))


class FromTheStore(Reads, mount_case.MountTest):
    flags = ()


class ThroughAPool(Reads, mount_case.MountTest):
    def setUp(self):
        super().setUp()
        members, self.workers = self.start_pool(2, memory="64MiB")
        self.flags = ("--members", str(members))

    def test_bytes_come_from_workers_and_xattrs_say_so(self):
        root = self.make_tree(TREE)
        harness.await_old(root)
        self.mount(f"file://{root}", *self.flags)
        path = self.at / "big.bin"
        self.assertEqual(os.getxattr(path, "user.forebay.cached"), b"0.00")
        self.assertEqual(path.read_bytes(), BIG)
        self.assertEqual(os.getxattr(path, "user.forebay.cached"), b"1.00")
        self.assertGreaterEqual(int(os.getxattr(path, "user.forebay.holders")), 1)
        self.assertIn(b":", os.getxattr(path, "user.forebay.version"))
        self.assertEqual(set(os.listxattr(path)), {"user.forebay.cached", "user.forebay.version",
                                                   "user.forebay.holders"})
        self.assertEqual(os.listxattr(self.at), [])
        self.assertEqual(call(os.getxattr, path, "user.other"), errno.ENODATA)
        sent = sum(w.metrics().get("forebay_worker_sent_bytes_total", 0) for w in self.workers)
        self.assertGreater(sent, len(BIG) // 2)

    def test_bytes_come_once(self):
        """The kernel reads ahead, with several requests at a time: the client must not, too."""
        files = {f"f{i}": BIG[i:(4 << 20) + i] for i in range(8)}
        root = self.make_tree(files)
        harness.await_old(root)
        self.mount(f"file://{root}", *self.flags)
        for name, content in files.items():
            with open(self.at / name, "rb", buffering=0) as file:
                read = b"".join(iter(lambda: file.read(128 << 10), b""))
            self.assertEqual(read, content)
        sent = sum(w.metrics().get("forebay_worker_sent_bytes_total", 0) for w in self.workers)
        self.assertLess(sent, sum(map(len, files.values())) * 1.05)

    def test_names_of_files_are_of_where_it_was_started(self):
        self.make_tree(TREE)
        members = pathlib.Path(self.flags[1])
        self.mount(f"file://{self.dir}/data", "--members", members.name, cwd=members.parent)
        self.assertEqual((self.at / "big.bin").read_bytes(), BIG)

    def test_workers_that_are_killed_cost_no_error(self):
        self.make_tree(TREE)
        self.mount(f"file://{self.dir}/data", *self.flags)
        fd = os.open(self.at / "big.bin", os.O_RDONLY | os.O_DIRECT)
        self.addCleanup(os.close, fd)
        self.assertEqual(os.pread(fd, 1 << 20, 0), BIG[:1 << 20])
        for worker in self.workers:
            worker.kill()
        self.assertEqual(os.pread(fd, len(BIG), 0), BIG)
        self.assertEqual((self.at / "sub/y").read_bytes(), b"yy")


class Changes(mount_case.MountTest):
    def test_whatever_would_change_something_ends_as_on_disk(self):
        root = self.make_tree(TREE)
        bind = self.bind_read_only(root)
        self.mount(f"file://{root}")
        calls = {
            "create": lambda d: os.open(d / "new", os.O_CREAT | os.O_WRONLY),
            "create exclusively": lambda d: os.open(d / "small.txt", os.O_CREAT | os.O_EXCL),
            "create what is there": lambda d: os.open(d / "small.txt", os.O_CREAT | os.O_RDONLY),
            "write": lambda d: os.open(d / "small.txt", os.O_WRONLY),
            "read and write": lambda d: os.open(d / "small.txt", os.O_RDWR),
            "append": lambda d: os.open(d / "small.txt", os.O_WRONLY | os.O_APPEND),
            "open truncating": lambda d: os.open(d / "small.txt", os.O_RDONLY | os.O_TRUNC),
            "write a directory": lambda d: os.open(d / "sub", os.O_WRONLY),
            "tmpfile": lambda d: os.open(d, os.O_TMPFILE | os.O_WRONLY),
            "truncate": lambda d: os.truncate(d / "small.txt", 0),
            "mkdir": lambda d: os.mkdir(d / "new"),
            "mkdir what is there": lambda d: os.mkdir(d / "sub"),
            "mkdir nowhere": lambda d: os.mkdir(d / "no/new"),
            "rmdir": lambda d: os.rmdir(d / "sub"),
            "rmdir a file": lambda d: os.rmdir(d / "small.txt"),
            "unlink": lambda d: os.unlink(d / "small.txt"),
            "unlink nothing": lambda d: os.unlink(d / "none"),
            "unlink a directory": lambda d: os.unlink(d / "sub"),
            "rename": lambda d: os.rename(d / "small.txt", d / "new"),
            "rename over": lambda d: os.rename(d / "small.txt", d / "empty"),
            "rename nothing": lambda d: os.rename(d / "none", d / "new"),
            "link": lambda d: os.link(d / "small.txt", d / "new"),
            "symlink": lambda d: os.symlink("x", d / "new"),
            "mknod": lambda d: os.mknod(d / "new"),
            "mkfifo": lambda d: os.mkfifo(d / "new"),
            "chmod": lambda d: os.chmod(d / "small.txt", 0o600),
            "chown": lambda d: os.chown(d / "small.txt", 1, 1),
            "utime": lambda d: os.utime(d / "small.txt"),
            "setxattr": lambda d: os.setxattr(d / "small.txt", "user.a", b"b"),
            "removexattr": lambda d: os.removexattr(d / "small.txt", "user.a"),
            "access": lambda d: 0 if os.access(d / "small.txt", os.W_OK) else os.stat(d / "none"),
            "read a directory": lambda d: os.read(os.open(d / "sub", os.O_RDONLY), 1),
            "through a file": lambda d: os.stat(d / "small.txt/x"),
            "too long a name": lambda d: os.stat(d / ("n" * 256)),
            "readlink": lambda d: os.readlink(d / "small.txt"),
            "list a file": lambda d: os.listdir(d / "small.txt"),
        }
        ours = {name: errno.errorcode.get(call(f, self.at)) for name, f in calls.items()}
        theirs = {name: errno.errorcode.get(call(f, bind)) for name, f in calls.items()}
        self.assertEqual(ours, theirs)
        self.assertEqual(ours["write"], "EROFS")
        for name, content in TREE.items():
            self.assertEqual((root / name).read_bytes(), content)
        subprocess.run(["mount", "-i", "-o", "remount,rw", str(self.at)], check=True)
        self.assertEqual(call(os.unlink, self.at / "small.txt"), errno.EROFS)
        self.assertEqual(call(os.open, self.at / "new", os.O_CREAT | os.O_WRONLY), errno.EROFS)

    def test_replaced_while_open_is_the_old_one_or_an_error(self):
        sizes = 6 << 20
        root = self.make_tree({"f": b"a" * sizes})
        self.mount(f"file://{root}")
        mixes = 0
        for round_number in range(6):
            old, new = (b"a", b"b") if round_number % 2 == 0 else (b"b", b"a")
            harness.wait_until(lambda: (self.at / "f").read_bytes() == old * sizes or None,
                               "the new version", timeout=70)
            fd = os.open(self.at / "f", os.O_RDONLY)
            try:
                got = [os.pread(fd, 4096, 0)]
                (root / "g").write_bytes(new * sizes)
                os.rename(root / "g", root / "f")
                for offset in range(4096, sizes, 65_536):
                    try:
                        got.append(os.pread(fd, 65_536, offset))
                    except OSError as error:
                        self.assertEqual(error.errno, errno.ESTALE)
                mixes += len({b[:1] for b in got if b} | {b[-1:] for b in got if b}) - 1
            finally:
                os.close(fd)
            self.assertEqual(mixes, 0, round_number)
            # The next who opens it reads the new one, without an error, although it was known.
            if got[-1] == b"":
                continue
            with open(self.at / "f", "rb") as file:
                content = file.read()
            self.assertIn(content, (old * sizes, new * sizes))
            os.utime(root / "f")

    def test_replaced_and_opened_anew_is_the_new_one_without_an_error(self):
        root = self.make_tree({"f": b"old" * 100_000, "g": b"old"})
        self.mount(f"file://{root}")
        self.assertEqual((self.at / "f").stat().st_size, 300_000)  # Known, not read.
        (self.at / "g").stat()
        (root / "f").write_bytes(b"newer" * 100_000)
        (root / "g").unlink()
        self.assertEqual((self.at / "f").read_bytes(), b"newer" * 100_000)
        self.assertEqual(call(os.open, self.at / "g", os.O_RDONLY), errno.ENOENT)

    def test_a_file_changed_at_once_is_not_served_from_old_pages(self):
        root = self.make_tree({"f": b"1" * 5000})
        members, _ = self.start_pool(1, staleness="0s")
        self.mount(f"file://{root}", "--members", members)
        for number in range(20):
            content = str(number % 10).encode() * 5000  # Of the same size, within a clock tick.
            with open(root / "f", "r+b") as file:
                file.write(content)
            self.assertEqual((self.at / "f").read_bytes(), content)


class Lifetime(mount_case.MountTest):
    def forebay(self, *arguments):
        return self.run_forebay(*arguments, "--state-dir", self.state)

    def test_in_the_background(self):
        root = self.make_tree(TREE)
        self.addCleanup(self.take_off, self.at)
        outcome = self.forebay("mount", f"file://{root}", self.at)
        self.check(outcome, 0, "mounted")
        line = next(line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
                    if f" {self.at} " in line)
        self.assertIn(f" - fuse.forebay file://{root} ", line)
        for option in ("ro", "nosuid", "nodev", "allow_other", "default_permissions"):
            self.assertIn(option, line)
        self.assertEqual((self.at / "big.bin").read_bytes(), BIG)
        self.check(self.forebay("mount", f"file://{root}", self.at), 1, "umount")
        with open(self.at / "small.txt", "rb") as file:
            busy = self.run_forebay("umount", self.at)
            self.check(busy, 1, "--lazy")
            self.assertEqual(file.read(), b"hello\n")
        self.check(self.run_forebay("umount", self.at), 0)
        self.assertFalse(self.is_mounted(self.at))
        self.check(self.run_forebay("umount", self.at), 1, "nothing is mounted")

    def test_lazily(self):
        root = self.make_tree(TREE)
        process = self.mount(f"file://{root}")
        with open(self.at / "big.bin", "rb") as file:
            self.check(self.run_forebay("umount", self.at, "--lazy"), 0)
            self.assertEqual(os.listdir(self.at), [])
            self.assertEqual(file.read(), BIG)
            self.assertIsNone(process.poll())
        self.assertEqual(process.wait(timeout=20), 0)

    def test_where_it_cannot_be(self):
        root = self.make_tree(TREE)
        (self.dir / "file").write_bytes(b"")
        for at, text in ((self.dir / "none", "existing directory"),
                         (self.dir / "no/ne", "No such"), (self.dir / "file", "not a directory")):
            for more in ([], ["--foreground"]):
                self.check(self.forebay("mount", f"file://{root}", at, *more), 2, text)
        self.check(self.forebay("mount", f"file://{root}/none", self.at), 1, "No such file")
        self.check(self.forebay("mount", f"file://{root}/small.txt", self.at), 1)
        self.check(self.forebay("mount", "ftp://x", self.at), 2, "ftp://x")
        self.check(self.forebay("mount", f"file://{root}", self.at, "-o", "rw"), 2, "read-only")
        self.check(self.run_forebay("umount", self.dir), 1, "nothing is mounted")
        self.check(self.run_forebay("umount", "/proc"), 2, "umount(8)")
        self.assertFalse(self.is_mounted(self.at))

    def test_sigterm_unmounts(self):
        root = self.make_tree(TREE)
        for number in (signal.SIGTERM, signal.SIGINT):
            process = self.mount(f"file://{root}")
            process.send_signal(number)
            self.assertEqual(process.wait(timeout=20), 0)
            self.assertFalse(self.is_mounted(self.at))

    def test_sigterm_serves_what_is_open_to_its_end(self):
        root = self.make_tree(TREE)
        process = self.mount(f"file://{root}")
        with open(self.at / "big.bin", "rb") as file:
            file.read(10)
            process.terminate()
            harness.wait_until(lambda: not self.is_mounted(self.at), "the unmount")
            self.assertEqual(file.read(), BIG[10:])
        self.assertEqual(process.wait(timeout=20), 0)

    def test_what_a_crash_leaves_is_cleared(self):
        root = self.make_tree(TREE)
        process = self.mount(f"file://{root}")
        daemon = self.daemon_of(process)
        os.kill(daemon, signal.SIGSTOP)  # It could still unmount.
        process.kill()
        process.wait()
        os.kill(daemon, signal.SIGKILL)
        harness.wait_until(lambda: call(os.stat, self.at) == errno.ENOTCONN, "the daemon's end")
        self.assertEqual(call(os.stat, self.at), errno.ENOTCONN)
        self.check(self.forebay("mount", f"file://{root}", self.at), 1, "umount")
        self.check(self.run_forebay("umount", self.at), 0)
        self.assertEqual(os.listdir(self.at), [])
        self.mount(f"file://{root}")
        self.assertEqual((self.at / "small.txt").read_bytes(), b"hello\n")

    def test_who_is_not_root_mounts_through_fusermount3(self):
        root = self.make_tree(TREE)
        self.dir.chmod(0o755)
        home = self.dir / "home"
        (home / "m").mkdir(parents=True)
        for path in (home, home / "m"):
            os.chown(path, 65534, 65534)
        # A /dev/fuse that all may open, as distributions have it; seen in here alone.
        script = """
            home="$1/home"
            mknod "$1/fuse" c 10 229; chmod 666 "$1/fuse"; mount --bind "$1/fuse" /dev/fuse
            as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups \
                              env -i PATH="$PATH" HOME="$home" "$@"; }
            as_nobody "$2" mount "$3" "$1/home/m"
            as_nobody cat "$1/home/m/big.bin"
            stat -c %u "$1/home/m/big.bin" && exit 1  # Its own alone, without allow_other.
            grep "fuse.forebay $3 " /proc/self/mountinfo >&2
            as_nobody "$2" umount "$1/home/m"
            grep "fuse.forebay $3 " /proc/self/mountinfo >&2 && exit 1
            as_nobody "$2" mount "$3" "$1/home/m" --allow-other && exit 1
            mount -t tmpfs none /dev/shm; mkdir -m 777 /dev/shm/forebay-65534  # Somebody else's.
            as_nobody "$2" mount "$3" "$1/home/m"
            as_nobody cmp "$1/home/m/small.txt" "$1/data/small.txt"
            as_nobody "$2" umount "$1/home/m"
            exit 0"""
        done = subprocess.run(["unshare", "-m", "--propagation", "private", "sh", "-ec", script,
                               "sh", str(self.dir), harness.BINARY, f"file://{root}"],
                              capture_output=True, timeout=60, cwd="/")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, BIG)
        self.assertIn(b"user_allow_other", done.stderr)
        # A tier that nobody asked for cannot be there: it is read without.
        self.assertIn(b"/dev/shm/forebay-65534\": not this user's alone", done.stderr)


class Waiting(mount_case.MountTest):
    """Reads that wait for a store that does not answer."""

    def setUp(self):
        super().setUp()
        self.store = hanging_store.HangingStore(self, "dir/f", BIG)

    def test_a_reader_that_is_killed_goes_at_once(self):
        self.mount("s3://bucket", env=self.store.environment)
        self.store.mode = "hang"
        for number in (signal.SIGKILL, signal.SIGINT):
            reader = subprocess.Popen(["cat", str(self.at / "dir/f")], stdout=subprocess.DEVNULL)
            self.assertTrue(self.store.waiting.acquire(timeout=20))
            began = time.monotonic()
            reader.send_signal(number)
            self.assertEqual(reader.wait(timeout=20), -number)
            self.assertLess(time.monotonic() - began, 3)
            self.assertEqual(os.listdir(self.at), ["dir"])
        self.store.mode = "serve"
        self.store.released.set()
        self.assertEqual((self.at / "dir/f").read_bytes(), BIG)

    def test_a_timer_s_signal_ends_nothing_and_a_kill_behind_it_does(self):
        self.mount("s3://bucket", env=self.store.environment)
        self.store.mode = "hang"
        script = ("import signal, sys; signal.signal(signal.SIGALRM, lambda *_: None);"
                  "signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05); open(sys.argv[1]).read()")
        reader = subprocess.Popen(["python3", "-c", script, str(self.at / "dir/f")])
        self.assertTrue(self.store.waiting.acquire(timeout=20))
        # An interrupted open would be tried again, and ask the store once more.
        self.assertFalse(self.store.waiting.acquire(timeout=1))
        reader.kill()
        began = time.monotonic()
        self.assertEqual(reader.wait(timeout=20), -signal.SIGKILL)
        self.assertLess(time.monotonic() - began, 3)

    def blocked_threads(self, mount):
        """How many threads of the mount there are, and how many of them wait for the store."""
        tasks = [task for task in pathlib.Path(f"/proc/{self.daemon_of(mount)}/task").iterdir()
                 if (task / "comm").read_text() == "fuse\n"]
        waits = [(task / "wchan").read_text() for task in tasks]
        return len(tasks), sum(wait.startswith(("futex", "poll")) for wait in waits)

    def test_more_requests_than_threads_leave_one_that_listens(self):
        mount = self.mount("s3://bucket", env=self.store.environment)
        self.store.mode = "hang all"
        askers = [subprocess.Popen(["stat", str(self.at / f"none{i}")], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL) for i in range(80)]
        harness.wait_until(lambda: self.blocked_threads(mount) == (64, 63),
                           "all threads to wait for the store")
        began = time.monotonic()
        for asker in askers:
            asker.kill()
        for asker in askers:
            asker.wait(timeout=40)
        self.assertLess(time.monotonic() - began, 5)
        self.store.mode = "serve"
        self.assertEqual(os.listdir(self.at), ["dir"])

    def test_names_do_not_wait_behind_reads(self):
        mount = self.mount("s3://bucket", env=self.store.environment)
        self.assertEqual(os.listdir(self.at), ["dir"])
        files = [os.open(self.at / "dir/f", os.O_RDONLY | os.O_DIRECT) for _ in range(100)]
        self.store.mode = "hang"
        readers = [subprocess.Popen(["cat", str(self.at / "dir/f")], stdout=subprocess.DEVNULL)
                   for _ in range(20)]
        with concurrent.futures.ThreadPoolExecutor(180) as pool:
            reads = [pool.submit(os.pread, files[i % 100], 4096, (i % 100 + 1) * 65_536)
                     for i in range(180)]
            try:
                harness.wait_until(lambda: self.blocked_threads(mount)[1] >= 48, "reads to wait")
                began = time.monotonic()
                for command in (["ls", self.at / "dir"], ["stat", self.at / "dir/f"],
                                ["stat", self.at], ["cat", self.at / ".forebay/status"]):
                    subprocess.run(command, check=True, timeout=10, capture_output=True)
                self.assertLess(time.monotonic() - began, 3)
                # Also one that has no thread yet ends when it is killed.
                for reader in readers:
                    reader.kill()
                for reader in readers:
                    self.assertEqual(reader.wait(timeout=10), -signal.SIGKILL)
            finally:
                self.store.mode = "serve"
                self.store.released.set()
            for i, read in enumerate(reads):
                at = (i % 100 + 1) * 65_536
                self.assertEqual(read.result(timeout=60), BIG[at:at + 4096])
        for file in files:
            os.close(file)

    def test_an_error_only_if_the_store_cannot_answer(self):
        self.mount("s3://bucket", "--read-timeout", "3s", env=self.store.environment)
        with open(self.at / "dir/f", "rb") as file:
            self.assertEqual(file.read(100), BIG[:100])
            self.store.mode = "fail"
            with self.assertRaises(OSError) as raised:
                os.pread(file.fileno(), 100, 8 << 20)
            self.assertEqual(raised.exception.errno, errno.EIO)
            self.store.mode = "serve"
            self.assertEqual(os.pread(file.fileno(), 100, 8 << 20), BIG[8 << 20:(8 << 20) + 100])


if __name__ == "__main__":
    unittest.main()
