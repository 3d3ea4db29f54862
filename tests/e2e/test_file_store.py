"""Client verbs over a `file:` store, with and without a pool."""

import json
import os
import pathlib
import random
import signal
import subprocess
import time
import unittest

import harness

RANDOM = random.Random(7)
BIG = RANDOM.randbytes((9 << 20) + 12_345)  # Three blocks, the last one short.
ODD_NAMES = ["with space", "\u00fcn\u00efcode-\u65e5\u672c", "new\nline", "n" * 255, "[a,b]", "%41",
             "a=b&c?d#e", "-dash", "'quote\"", "back\\slash", "*"]
TREE = {"big.bin": BIG, "small.txt": b"hello\n", "empty": b"", "sub/deep/x": b"x", "sub/y": b"yy"}


class Verbs:
    """Run once straight from the store and once through a pool."""

    def test_cat(self):
        root = self.make_tree(TREE)
        outcome = self.forebay("cat", f"file://{root}/big.bin", f"file://{root}/empty",
                               f"file://{root}/small.txt")
        self.check(outcome, 0)
        self.assertEqual(outcome.out, BIG + b"hello\n")

    def test_local_is_file(self):
        root = self.make_tree(TREE)
        outcome = self.forebay("cat", f"local://{root}/small.txt")
        self.check(outcome, 0)
        self.assertEqual(outcome.out, b"hello\n")

    def test_cat_goes_on_after_a_failed_path(self):
        root = self.make_tree(TREE)
        outcome = self.forebay("cat", f"file://{root}/none", f"file://{root}/sub",
                               f"file://{root}/small.txt")
        self.check(outcome, 1, f"cat: file://{root}/none", f"cat: file://{root}/sub")
        self.assertEqual(outcome.out, b"hello\n")

    def test_odd_names(self):
        root = self.make_tree({name: name.encode() for name in ODD_NAMES})
        listed = self.forebay("ls", "-o", "json", f"file://{root}")
        self.check(listed, 0)
        self.assertEqual({e["name"] for e in json.loads(listed.out)}, set(ODD_NAMES))
        for name in ODD_NAMES:
            with self.subTest(name=name):
                outcome = self.forebay("cat", f"file://{root}/{name}")
                self.check(outcome, 0)
                self.assertEqual(outcome.out, name.encode())
        self.check(self.forebay("cp", "-r", f"file://{root}", self.dir / "copy"), 0)
        self.assert_same_tree(root, self.dir / "copy")

    def test_names_that_are_not_text(self):
        root = self.make_tree({b"bad\xff": b"bytes"})
        outcome = self.forebay("cat", b"file://" + os.fsencode(root) + b"/bad\xff")
        self.check(outcome, 0)
        self.assertEqual(outcome.out, b"bytes")
        self.check(self.forebay("ls", "-o", "json", f"file://{root}"), 0)
        outcome = self.forebay("bench", "read", f"file://{root}", "-o", "json")
        self.check(outcome, 0)
        self.assertEqual(json.loads(outcome.out)["bytes"], 5)

    def test_stat(self):
        root = self.make_tree(TREE)
        os.utime(root / "small.txt", (1_767_225_600, 1_767_225_600))
        outcome = self.forebay("stat", "-o", "json", f"file://{root}/small.txt",
                               f"file://{root}/sub", f"file://{root}/none")
        self.check(outcome, 1, f"stat: file://{root}/none")
        file, directory = json.loads(outcome.out)
        self.assertEqual(file["name"], f"file://{root}/small.txt")
        self.assertEqual((file["type"], file["size"], file["mtime"]),
                         ("file", 6, "2026-01-01T00:00:00Z"))
        self.assertTrue(file["version"])
        self.assertEqual((directory["type"], directory["size"]), ("dir", 0))

    def test_ls(self):
        root = self.make_tree(TREE)
        for url in (f"file://{root}", f"file://{root}/"):
            entries = json.loads(self.forebay("ls", "--output=json", url).out)
            self.assertEqual([(e["name"], e["type"], e["size"]) for e in entries],
                             [("big.bin", "file", len(BIG)), ("empty", "file", 0),
                              ("small.txt", "file", 6), ("sub", "dir", 0)])
        deep = self.forebay("ls", "-R", "-o", "name", f"file://{root}")
        self.assertEqual(deep.out.decode().split(),
                         ["big.bin", "empty", "small.txt", "sub", "sub/deep", "sub/deep/x",
                          "sub/y"])
        one = json.loads(self.forebay("ls", "-o", "json", f"file://{root}/empty").out)
        self.assertEqual([(e["name"], e["size"]) for e in one], [(f"file://{root}/empty", 0)])
        for form in ("table", "wide", "yaml"):
            outcome = self.forebay("ls", "-o", form, f"file://{root}")
            self.check(outcome, 0)
            self.assertIn(b"small.txt", outcome.out)
        self.check(self.forebay("ls", f"file://{root}/none"), 1, "none")

    def test_cp_of_a_file(self):
        root = self.make_tree(TREE)
        target = self.dir / "target"
        self.check(self.forebay("cp", f"file://{root}/big.bin", target), 0)
        self.assertEqual(target.read_bytes(), BIG)
        into = self.dir / "into"
        into.mkdir()
        self.check(self.forebay("cp", f"file://{root}/big.bin", f"file://{root}/small.txt", into),
                   0)
        self.assertEqual((into / "small.txt").read_bytes(), b"hello\n")
        self.assertEqual(sorted(os.listdir(into)), ["big.bin", "small.txt"])

    def test_cp_refuses(self):
        root = self.make_tree(TREE)
        into = self.dir / "into"
        into.mkdir()
        self.check(self.forebay("cp", f"file://{root}/sub", into), 1, "cp -r")
        self.check(self.forebay("cp", f"file://{root}/none", into), 1, "none")
        self.check(self.forebay("cp", f"file://{root}/sub/y", f"file://{root}/empty",
                                self.dir / "nowhere"), 2, "nowhere")
        self.check(self.forebay("cp", f"file://{root}/empty", self.dir / "no/such"), 2, "no")
        (into / "empty").mkdir()
        self.check(self.forebay("cp", f"file://{root}/empty", f"file://{root}/small.txt", into), 1,
                   "it is a directory")
        self.assertEqual(sorted(os.listdir(into)), ["empty", "small.txt"])

    def test_cp_r(self):
        root = self.make_tree(TREE)
        (root / "hollow").mkdir()
        copy = self.dir / "copy"
        for _ in range(2):  # Into a new directory, then below the existing one.
            self.check(self.forebay("cp", "-r", f"file://{root}", copy), 0)
        self.assert_same_tree(root, copy, but={"data"})
        self.assert_same_tree(root, copy / "data")

    def test_bench_read(self):
        root = self.make_tree(TREE)
        total = sum(map(len, TREE.values()))
        outcome = self.forebay("bench", "read", f"file://{root}", "--tasks", "5",
                               "--processes", "2", "-o", "json")
        self.check(outcome, 0)
        report = json.loads(outcome.out)
        self.assertEqual(set(report), {"bytes", "seconds", "bytesPerSecond", "taskSeconds",
                                       "cpuSecondsPerGB", "errors", "sourceBytes"})
        self.assertEqual((report["bytes"], report["errors"]), (5 * total, 0))
        self.assertEqual(set(report["taskSeconds"]), {"mean", "p50", "p99", "max"})
        self.assertEqual(set(report["sourceBytes"]), {"local", "peer", "upstream"})
        self.assertEqual(sum(report["sourceBytes"].values()), 5 * total)
        self.assertGreater(report["cpuSecondsPerGB"], 0)
        table = self.forebay("bench", "read", f"file://{root}/small.txt", "--processes=3")
        self.check(table, 0, "--processes 3")
        self.assertIn(b"tasks", table.out)

    def test_a_closed_reader_ends_cat_quietly(self):
        root = self.make_tree(TREE)
        process = self.start_forebay("cat", f"file://{root}/big.bin", *self.flags,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.read(10)
        process.stdout.close()
        self.assertEqual(process.wait(timeout=20), 1)
        self.assertEqual(process.stderr.read(), b"")

    def test_an_interrupt_is_130(self):
        root = self.make_tree(TREE)
        for number in (signal.SIGINT, signal.SIGTERM):
            # Nobody reads on: the verb hangs in its write.
            process = self.start_forebay("cat", f"file://{root}/big.bin", *self.flags,
                                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            process.stdout.read(10)
            process.send_signal(number)
            self.assertEqual(process.wait(timeout=5), 130)

    def test_a_full_disk_is_said(self):
        root = self.make_tree(TREE)
        with open("/dev/full", "wb") as full:
            process = self.start_forebay("cat", f"file://{root}/big.bin", *self.flags, stdout=full,
                                         stderr=subprocess.PIPE)
            self.assertEqual(process.wait(timeout=20), 1)
        self.assertIn(b"No space left", process.stderr.read())

    def test_progress(self):
        root = self.make_tree(TREE)
        outcome = self.forebay("cp", "-r", f"file://{root}", self.dir / "copy", "--progress=json")
        self.check(outcome, 0)
        last = json.loads(outcome.err.splitlines()[-1])
        total = sum(map(len, TREE.values()))
        self.assertEqual((last["doneBytes"], last["totalBytes"], last["doneFiles"]),
                         (total, total, len(TREE)))
        outcome = self.forebay("cp", "-r", f"file://{root}", self.dir / "copy2", "--quiet")
        self.assertEqual((outcome.code, outcome.err, outcome.out), (0, "", b""))

    def forebay(self, *arguments):
        return self.run_forebay(*arguments, *self.flags)

    def assert_same_tree(self, left, right, but=frozenset()):
        def walk(root):
            return {os.path.relpath(os.path.join(d, n), root): pathlib.Path(d, n)
                    for d, dirs, files in os.walk(root) for n in dirs + files
                    if not set(pathlib.Path(os.path.relpath(os.path.join(d, n), root)).parts) & but}
        a, b = walk(left), walk(right)
        self.assertEqual(set(a), set(b))
        for name, path in a.items():
            if path.is_file():
                self.assertEqual(path.read_bytes(), b[name].read_bytes(), name)


class FromTheStore(Verbs, harness.ForebayTest):
    flags = ()


class ThroughAPool(Verbs, harness.ForebayTest):
    def setUp(self):
        super().setUp()
        members, self.workers = self.start_pool(2, memory="64MiB")
        self.flags = ("--members", str(members))

    def test_bytes_come_from_the_pool(self):
        root = self.make_tree(TREE)
        for path in root.rglob("*"):
            os.utime(path, (1_767_225_600, 1_767_225_600))
        # A file whose ctime is younger than 2 s is served, not kept.
        harness.wait_until(lambda: all(p.stat().st_ctime + 2.1 < time.time()
                                       for p in root.rglob("*")), "old files")
        self.check(self.forebay("bench", "fill", f"file://{root}", "-o", "json"), 0)
        outcome = self.forebay("bench", "read", f"file://{root}", "-o", "json")
        self.check(outcome, 0)
        total = sum(map(len, TREE.values()))
        self.assertEqual(json.loads(outcome.out)["sourceBytes"],
                         {"local": 0, "peer": total, "upstream": 0})

    def test_verify(self):
        root = self.make_tree(TREE)
        outcome = self.forebay("verify", f"file://{root}")
        self.check(outcome, 0, "5 files")
        self.assertEqual(outcome.out, b"")
        self.check(self.forebay("verify", f"file://{root}/none"), 1, "none")

    def test_verify_names_what_differs(self):
        root = self.make_tree(TREE)
        self.check(self.forebay("verify", f"file://{root}"), 0)
        (root / "small.txt").write_bytes(b"HELLO\n")  # The pool may show the old one for a while.
        outcome = self.forebay("verify", f"file://{root}")
        self.check(outcome, 1, f"file://{root}/small.txt", "1 differs")
        self.assertEqual(outcome.out.decode(), f"file://{root}/small.txt\n")


if __name__ == "__main__":
    unittest.main()
