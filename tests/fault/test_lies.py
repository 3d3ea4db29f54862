"""A store that lies, behind a worker: never cached, never returned."""

import dataclasses
import pathlib
import random
import re
import unittest

from pool_case import Fault, PoolTest

BLOCK = 256 << 10
BODY = random.Random(8).randbytes(3 * BLOCK + 777)
# Of the bytes of an object. What each is: tests/store/fault_proxy.py.
LIES = {
    "short": Fault("short"),  # Of nothing: what had arrived would be gone on from.
    "reset": Fault("reset"),
    "wrong-range": Fault("wrong_range"),
    "wrong-bytes": Fault("wrong_bytes_range"),
    "whole": Fault("ignore_range"),
    "etag": Fault("etag", text='"another"'),
    "no-etag": Fault("etag"),
    "too-long": Fault("content_length", shift=5),
    "too-short": Fault("content_length", shift=-5),
    "no-range": Fault("drop_header", text="content-range"),
    "html": Fault("html"),
    "endless": Fault("endless"),
    "long": Fault("long", bytes=99),
    "bomb": Fault("bomb"),
}
LIST_LIES = {"html": Fault("html"), "endless": Fault("endless"), "bomb": Fault("bomb"),
             "nonsense": Fault("body", body="<ListBucketResult><Name>")}


class Lies(PoolTest):
    def setUp(self):
        super().setUp()
        self.start_store()

    def start(self, count=1, **settings):
        self.members, self.workers = self.s3_pool(count, blockSize="256KiB", **settings)

    def lie(self, fault, method="GET", times=-1):
        self.proxy.clear()
        fault.method = method
        self.proxy.set(fault, times=times)

    def test_lies_are_never_returned_and_never_kept(self):
        for name in LIES:
            self.put(f"lies/{name}", BODY)
        self.start()
        for name, fault in LIES.items():
            with self.subTest(lie=name):
                url = f"s3://bucket/lies/{name}"
                self.lie(fault)
                lied = self.cat(self.members, url, timeout="1200ms")
                self.check(lied, 1, url)
                self.assertEqual(lied.out, b"")
                self.proxy.clear()
                self.check_bytes(self.cat(self.members, url), BODY)
                # And what the worker has kept is right, too: not one more GET.
                self.proxy.clear()
                self.check_bytes(self.cat(self.members, url), BODY)
                self.assertEqual(self.proxy.count("GET", "lies/"), 0)

    def test_a_lie_now_and_then_is_healed(self):
        for name in LIES:
            self.put(f"once/{name}", BODY)
        self.start()
        for name, fault in LIES.items():
            if "etag" in name:
                continue  # Another version than the HEAD's: changed, see below.
            with self.subTest(lie=name):
                fault = dataclasses.replace(fault, bytes=fault.bytes or 70_000)
                self.lie(fault, times=1)
                self.check_bytes(self.cat(self.members, f"s3://bucket/once/{name}"), BODY)

    def test_listings_that_lie(self):
        self.put("tree/a", b"1")
        self.start()
        for name, fault in LIST_LIES.items():
            with self.subTest(lie=name):
                self.lie(fault, "LIST")
                outcome = self.run_forebay("ls", "s3://bucket/tree/", "--read-timeout", "1s",
                                           "--members", self.members, env=self.environment)
                self.check(outcome, 1)
                self.assertEqual(outcome.out, b"")
        # An endless one was not collected.
        status = pathlib.Path(f"/proc/{self.workers[0].process.pid}/status").read_text()
        self.assertLess(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]), 200 << 10)
        self.proxy.clear()
        outcome = self.run_forebay("ls", "-o", "name", "s3://bucket/tree/", "--members",
                                   self.members, env=self.environment)
        self.assertEqual((outcome.code, outcome.out), (0, b"a\n"), outcome.err)


if __name__ == "__main__":
    unittest.main()
