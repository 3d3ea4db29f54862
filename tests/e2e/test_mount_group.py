"""A mount of a group's dataset: what it tells, and how soon it follows."""

import errno
import json
import os
import signal
import subprocess
import time
import unittest

import group_case
import harness
import mount_case

BIG = group_case.content((9 << 20) + 12_345)


class OfAGroup(group_case.GroupTest, mount_case.MountTest):
    def setUp(self):
        super().setUp()
        self.up(1)

    def test_df_shows_what_control_counted(self):
        root = self.make_tree({"a": b"x" * 5_000, "d/b": b"y" * 4_000_000})
        self.create("d", root)
        self.await_status(lambda s: s["datasets"] and s["datasets"][0]["totalBytes"], "a listing")
        self.mount("d")
        seen = os.statvfs(self.at)
        self.assertEqual(((seen.f_blocks - seen.f_bfree), seen.f_frsize), (978, 4096))
        self.assertEqual((seen.f_files - seen.f_ffree, seen.f_namemax), (2, 255))
        self.assertEqual(seen.f_blocks * seen.f_frsize, 1 << 50)
        self.assertEqual(seen.f_bavail, seen.f_bfree)
        shown = subprocess.run(["df", "--output=fstype,size,used,pcent", self.at], check=True,
                               capture_output=True, text=True).stdout
        self.assertEqual(shown.split()[-4:], ["fuse.forebay", str(1 << 40), str(978 * 4), "1%"])
        self.kill_control()
        self.assertEqual(os.statvfs(self.at).f_bfree, seen.f_bfree)

    def test_it_tells_about_itself(self):
        root = self.make_tree({"a": b"x" * 5_000, "d/b": b"y", ".forebay/status": b"of the store",
                               "d/.forebay": b"seen"})
        self.create("d", root)
        process = self.mount("d", "-o", "file-mode=0440")
        (self.at / "a").read_bytes()
        own = self.at / ".forebay"
        status = json.loads((own / "status").read_text())
        self.assertEqual((status["source"], status["url"], status["directory"]),
                         ("d", "forebay://d.default/", str(self.at)))
        self.assertEqual([w["name"] for w in status["workers"]], ["default-0"])
        self.assertGreater(status["epoch"], 0)
        self.assertEqual(sum(status["sourceBytes"].values()), 5_000)
        self.assertIn("file-mode: 0440  # flag", (own / "config").read_text())
        with open(own / "stats", encoding="utf-8") as file, open(self.at / "a", "rb"):
            before = harness.parse_metrics(file.read())
            after = harness.parse_metrics((own / "stats").read_text())
        self.assertEqual(before["forebay_mount_read_bytes_total"], 5_000)
        self.assertEqual(after["forebay_mount_open_files_count"], 1)
        self.assertGreater(after['forebay_mount_requests_total{operation="open"}'],
                           before['forebay_mount_requests_total{operation="open"}'])
        # By name only, at the root only.
        self.assertEqual(sorted(os.listdir(self.at)), ["a", "d"])
        self.assertEqual(sorted(os.listdir(own)), ["config", "stats", "status"])
        self.assertEqual((self.at / "d/.forebay").read_bytes(), b"seen")
        self.assertEqual(subprocess.run(["wc", "-c", own / "config"], capture_output=True,
                                        check=True).stdout.split()[0],
                         str((own / "config").stat().st_size).encode())
        for change in (lambda: (own / "status").write_text("x"), lambda: (own / "new").mkdir(),
                       (own / "status").unlink, lambda: os.truncate(own / "status", 0)):
            with self.assertRaises(OSError) as raised:
                change()
            self.assertEqual(raised.exception.errno, errno.EROFS)
        # They mean the same to whoever serves the mount next.
        with open(own / "status", "rb", buffering=0) as file:
            os.kill(self.daemon_of(process), signal.SIGKILL)
            self.assertEqual(json.loads(file.read())["processes"], 2)
        self.assertEqual(json.loads((own / "status").read_text())["processes"], 2)

    def test_a_refresh_is_seen_at_once(self):
        root = self.make_tree({"f": b"1", "d/g": b"1", "d/gone": b"1"})
        self.create("d", root)
        old = self.dir / "old"
        old.mkdir()
        processes = {self.at: self.mount("d"),
                     old: self.mount("d", "-o", "noresend", at=old)}  # As before Linux 6.16.

        def seen(at):
            return [(at / name).stat().st_size if (at / name).exists() else None
                    for name in ("f", "d/g", "d/gone")] + [sorted(os.listdir(at)),
                                                           at.stat().st_mtime_ns]

        def await_all(expected):
            expected += [sorted(os.listdir(root)), root.stat().st_mtime_ns]
            for at in processes:
                harness.wait_until(lambda at=at: seen(at) == expected, f"{at}: {expected}",
                                   timeout=group_case.PROMPT_S)
        await_all([1, 1, 1])
        with open(self.at / "d/gone", "rb") as file:
            (root / "f").write_bytes(b"22")
            (root / "d/g").write_bytes(b"22")
            (root / "d/gone").unlink()
            (root / "new").write_bytes(b"")
            self.assertEqual(seen(self.at)[:-1], [1, 1, 1, ["d", "f"]])  # The bound is 60 s.
            self.ok("dataset", "refresh", "d")
            await_all([2, 2, None])
            self.assertEqual(os.fstat(file.fileno()).st_size, 1)
        # Whoever serves it next does not know what was seen before.
        (root / "f").write_bytes(b"333")
        os.kill(processes[self.at].pid, signal.SIGSTOP)
        os.kill(self.daemon_of(processes[self.at]), signal.SIGKILL)
        self.ok("dataset", "refresh", "d")
        os.kill(processes[self.at].pid, signal.SIGCONT)
        await_all([3, 2, None])

    def await_errno(self, error, function, *arguments):
        """Within the bound of a second, and what figures may take."""
        def ends():
            try:
                function(*arguments)
            except OSError as raised:
                return raised.errno == error
            return False
        harness.wait_until(ends, errno.errorcode[error], timeout=1 + group_case.PROMPT_S)

    def mounted(self):
        """The tree of a dataset that is mounted, and a descriptor of a file that was read there."""
        root = self.old_tree({"f": BIG, "d/g": b"1"})
        self.create("d", root, "--staleness", "1s")
        self.mount("d")
        file = os.open(self.at / "f", os.O_RDONLY | os.O_DIRECT)
        self.addCleanup(os.close, file)
        self.assertEqual(os.pread(file, 1 << 20, 0), BIG[:1 << 20])
        return root, file

    def test_control_is_gone_for_longer_than_any_bound(self):
        root, file = self.mounted()
        worker = self.workers()["default-0"]["pid"]
        self.kill_control()
        for number in range(3):  # Each is seen when the bound has passed once more.
            name = f"d/new{number}"
            (root / name).write_bytes(BIG[number:70_000])
            harness.wait_until((self.at / name).exists, name, timeout=1 + group_case.PROMPT_S)
            self.assertEqual((self.at / name).read_bytes(), BIG[number:70_000])
            (root / "d/g").write_bytes(b"1" * (number + 2))
            harness.wait_until(lambda number=number: (
                self.at / "d/g").stat().st_size == number + 2, "d/g",
                timeout=1 + group_case.PROMPT_S)
            self.assertEqual(os.pread(file, 1 << 20, (5 + number) << 20),
                             BIG[(5 + number) << 20:(6 + number) << 20])
        other = self.dir / "other"
        other.mkdir()
        self.mount("d", at=other)
        self.assertEqual((other / "f").read_bytes(), BIG)
        os.kill(worker, signal.SIGKILL)  # Nobody starts it again.
        self.assertEqual((self.at / "d/new0").read_bytes(), BIG[:70_000])
        self.assertEqual(os.pread(file, 1 << 20, 3 << 20), BIG[3 << 20:4 << 20])
        self.assertEqual(sorted(os.listdir(other / "d")), ["g", "new0", "new1", "new2"])

    def test_a_dataset_that_is_deleted_while_it_is_mounted(self):
        root, file = self.mounted()
        self.ok("dataset", "delete", "d")
        for gone in ((os.stat, self.at / "d/g"), (os.listdir, self.at),
                     (os.open, self.at / "f", os.O_RDONLY)):
            self.await_errno(errno.ENOENT, *gone)
        self.check_old_or_lost(file, 7 << 20)
        # Another one of that name shares nothing with it.
        other = self.dir / "more"
        other.mkdir()
        (other / "f").write_bytes(BIG[::-1])
        self.create("d", other, "--staleness", "1s")
        harness.wait_until((self.at / "f").exists, "f", timeout=1 + group_case.PROMPT_S)
        self.assertEqual((self.at / "f").read_bytes(), BIG[::-1])
        self.assertEqual(os.listdir(self.at), ["f"])
        for offset in range(0, 9 << 20, 1 << 20):
            self.check_old_or_lost(file, offset)

    def check_old_or_lost(self, file, offset):
        try:
            data = os.pread(file, 1 << 20, offset)
        except OSError as error:
            self.assertEqual(error.errno, errno.ESTALE)
        else:
            self.assertEqual(data, BIG[offset:offset + (1 << 20)])


class OfAStore(mount_case.MountTest):
    def test_df_shows_it(self):
        self.mount(f"file://{self.make_tree({'a': b'1'})}")
        seen = os.statvfs(self.at)
        self.assertEqual((seen.f_blocks, seen.f_bfree), ((1 << 50) // 4096,) * 2)
        self.assertEqual(seen.f_files, seen.f_ffree)
        status = json.loads((self.at / ".forebay/status").read_text())
        self.assertEqual((status["workers"], status["epoch"]), ([], 0))

    def test_metadata_ttl_is_how_old_names_may_be(self):
        root = self.make_tree({"f": b"1"})
        # How soon a change may be seen; None: not in this test.
        for ttl, later in (("minimal", 0), ("1", 0.5), ("indefinite", None), (None, None)):
            with self.subTest(ttl=ttl):
                self.mount(f"file://{root}", *(["--metadata-ttl", ttl] if ttl else []))
                before = (self.at / "f").stat().st_size
                seen = time.monotonic()
                with open(root / "f", "ab") as file:
                    file.write(b"x")
                if later != 0:
                    self.assertEqual((self.at / "f").stat().st_size, before)
                if later is None:
                    self.assertRaises(TimeoutError, harness.wait_until, lambda: (
                        self.at / "f").stat().st_size > before, "it", timeout=1.2)
                else:
                    harness.wait_until(lambda: (self.at / "f").stat().st_size > before, "it")
                    self.assertGreaterEqual(time.monotonic() - seen, later)
                    self.assertLess(time.monotonic() - seen, 10)
                self.take_off(self.at)

    def test_flags_of_mount_s3(self):
        root = self.make_tree({"f": b"1"})
        self.mount(f"file://{root}", "--read-only", "--allow-other", "--uid", "7", "--gid", "8",
                   "--file-mode", "0640", "--dir-mode", "0750", "--metadata-ttl", "5",
                   "--endpoint-url", "http://127.0.0.1:1", "--region", "here",
                   "--force-path-style", "--no-sign-request", "--requester-pays")
        seen = [(s.st_uid, s.st_gid, s.st_mode & 0o777)
                for s in ((self.at / "f").stat(), self.at.stat())]
        self.assertEqual(seen, [(7, 8, 0o640), (7, 8, 0o750)])
        self.assertEqual((self.at / "f").read_bytes(), b"1")


if __name__ == "__main__":
    unittest.main()
