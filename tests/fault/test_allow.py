"""Workers fetch what `allow` covers and nothing else, and listen beyond the host only if told."""

import os
import struct
import unittest

from pool_case import PoolTest, harness
from wire_client import (BLOCK_DATA, DENIED, ERROR, GRANULE, LIST, READ_BLOCK, STAT, STAT_REPLY,
                         WELCOME, File, Frame, WireClient, sealed, text)

SECRET = b"outside of what is allowed"


class Allow(PoolTest):
    def start(self, allow):
        address = f"127.0.0.1:{harness.free_port()}"
        name = self.dir.name.removeprefix("fb-e2e-").replace("_", "-")
        members = self.write_members([(name, address)], allow=allow, blockSize="64KiB",
                                     options=self.options)
        self.worker = self.start_worker(name, address, members, env=self.environment)
        self.client = WireClient(address)
        self.addCleanup(self.client.close)
        answer = self.client.greet(GRANULE, endpoint=self.options.get("endpoint", ""))
        self.assertEqual(answer.type, WELCOME, answer.body)
        return members

    def ask(self, kind, store, path):
        """The worker's answer to a question for a name, a listing or a block."""
        if kind == READ_BLOCK:
            self.client.request(File(store, path, '"v"', 10), 0, 10, deadline_ms=5000)
        else:
            body = text(store) + text(path) + text("") + struct.pack("<I", 1000)
            self.client.send(Frame(kind, request_id=1, body=sealed(body), deadline_ms=5000))
        return self.client.receive()

    def check_denied(self, store, path):
        for kind in (READ_BLOCK, STAT, LIST):
            with self.subTest(kind=kind, store=store, path=path):
                answer = self.ask(kind, store, path)
                self.assertEqual((answer.type, answer.code), (ERROR, DENIED), answer)
                self.assertIn("allow", answer.message())

    def make_files(self):
        self.options, self.environment = {}, None
        self.root = self.old_tree({"in/f": b"inside", "in/deep/g": b"inside", "secret": SECRET,
                                   "inside-not/f": SECRET})
        os.symlink("../secret", self.root / "in" / "relative")
        os.symlink(self.root / "secret", self.root / "in" / "absolute")
        os.symlink("..", self.root / "in" / "up")
        os.symlink("f", self.root / "in" / "within")

    def test_files_outside_are_denied(self):
        self.make_files()
        inside = f"{self.root}/in"[1:]
        self.start([f"file:///{inside}/"])
        self.assertEqual(self.ask(STAT, "file://", f"{inside}/f").type, STAT_REPLY)
        outside = str(self.root)[1:]
        for path in (f"{outside}/secret", f"{outside}/inside-not/f", "etc/passwd", "",
                     f"{inside}/../secret", f"{inside}/deep/../../secret", "../etc/passwd",
                     f"{inside}/deep/.."):
            self.check_denied("file://", path)
        for path in ("key", ""):
            self.check_denied("s3://bucket", path)

    def test_links_do_not_lead_out(self):
        self.make_files()
        inside = f"{self.root}/in"[1:]
        members = self.start([f"file:///{inside}"])
        for link in ("relative", "absolute", "up/secret"):
            for kind in (READ_BLOCK, STAT):
                with self.subTest(kind=kind, link=link):
                    answer = self.ask(kind, "file://", f"{inside}/{link}")
                    self.assertEqual(answer.type, ERROR, answer)
                    self.assertNotIn(SECRET, answer.body)
        self.assertEqual(self.ask(STAT, "file://", f"{inside}/within").type, STAT_REPLY)
        self.check_bytes(self.cat(members, f"file:///{inside}/within"), b"inside")

    def test_a_worker_without_allow_gives_no_files(self):
        self.make_files()
        self.start([])
        self.check_denied("file://", f"{self.root}/in/f"[1:])

    def test_keys_outside_are_denied_and_never_asked_for(self):
        self.start_store()
        self.put("open/key", b"inside")
        self.put("open-not/key", SECRET)
        self.options = {"endpoint": self.proxy.url, "region": "us-east-1"}
        self.start(["s3://bucket/open/"])
        self.assertEqual(self.ask(STAT, "s3://bucket", "open/key").type, STAT_REPLY)
        self.proxy.clear()
        for store, path in (("s3://bucket", "open-not/key"), ("s3://bucket", ""),
                            ("s3://bucket", "other"), ("s3://other-bucket", "open/key"),
                            ("file://", "etc/passwd")):
            self.check_denied(store, path)
        self.assertEqual(self.proxy.log(), [])

    def test_beyond_this_host_only_with_insecure(self):
        members = self.write_members([("w", "0.0.0.0:0")], allow=["s3://bucket"])
        arguments = ("worker", "--name", "w", "--address", "0.0.0.0:0", "--memory", "64MiB",
                     "--members", members, "--state-dir", self.state)
        outcome = self.run_forebay(*arguments, timeout=20)
        self.check(outcome, 2, "--insecure")
        self.assertEqual(outcome.out, b"")
        worker = self.start_worker("w", "0.0.0.0:0", members, "--insecure")
        self.assertEqual(worker.stop(), 0)


if __name__ == "__main__":
    unittest.main()
