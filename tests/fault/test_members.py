"""Members files that are wrong, ports that are taken, and peers that talk nonsense."""

import random
import socket
import struct
import unittest

from pool_case import PoolTest, harness, pool_total
from wire_client import (BLOCK_DATA, ERROR, GRANULE, HEADER, INVALID_ARGUMENT, READ_BLOCK, WELCOME,
                         Frame, WireClient, crc32c, hello, sealed)

CONTENT = random.Random(12).randbytes(700_000)


class Members(PoolTest):
    def setUp(self):
        super().setUp()
        self.root = self.old_tree({"f": CONTENT})
        self.url = f"file://{self.root}/f"

    def test_wrong_ones_are_refused_in_words(self):
        cases = {"not YAML": ("members: [", "--members"),
                 "not a list": ("members: 5", "members"),
                 "a word": ("hello", "--members"),
                 "without address": ("members:\n- {name: a}", "address"),
                 "without name": ("members:\n- {address: '127.0.0.1:1'}", "name"),
                 "a name twice": ("members:\n- {name: a, address: 'h:1'}\n"
                                  "- {name: a, address: 'h:2'}", '"a"'),
                 "an address twice": ("members:\n- {name: a, address: 'h:1'}\n"
                                      "- {name: b, address: 'h:1'}", "h:1"),
                 "a bad port": ("members:\n- {name: a, address: 'h:99999'}", "99999"),
                 "an unknown key": ("members: []\nmemebrs: []", "memebrs"),
                 "a bad block": ("members: []\nblockSize: 3KiB", "blockSize"),
                 "a bad bound": ("members: []\nstaleness: soon", "staleness"),
                 "a bad URL": ("members: []\nallow: ['nonsense']", "allow")}
        for name, (text, words) in cases.items():
            with self.subTest(file=name):
                path = self.dir / "wrong.yaml"
                path.write_text(text)
                outcome = self.run_forebay("cat", self.url, "--members", path)
                self.check(outcome, 2, words)
                self.assertEqual(outcome.out, b"")
        self.check(self.run_forebay("cat", self.url, "--members", self.dir / "none"), 2, "none")
        self.check(self.run_forebay("cat", self.url, "--members", self.dir), 2)

    def test_an_empty_one_reads_from_the_store(self):
        self.check_bytes(self.cat(self.write_members([]), self.url), CONTENT)

    def test_unreachable_members(self):
        closed = harness.free_port()
        with socket.create_server(("127.0.0.1", 0), backlog=8) as mute:  # Connects, says nothing.
            members = self.write_members([
                ("closed", f"127.0.0.1:{closed}"),
                ("mute", f"127.0.0.1:{mute.getsockname()[1]}"),
                ("gone", f"unix:{self.dir}/gone"),
                ("nowhere", "no-such-host.invalid:1")])
            self.check_bytes(self.cat(members, self.url), CONTENT)

    def test_some_unreachable_members_and_one_that_serves(self):
        name = self.dir.name.removeprefix("fb-e2e-").replace("_", "-")
        members = self.write_members([(name, f"unix:{self.dir}/w"), ("gone", f"unix:{self.dir}/g")],
                                     allow=["file:///"], blockSize="64KiB")
        worker = self.start_worker(name, f"unix:{self.dir}/w", members)
        for _ in range(2):
            self.check_bytes(self.cat(members, self.url), CONTENT)
        self.assertGreater(pool_total([worker], "forebay_cache_requests_total"), 0)

    def test_members_of_another_block_size_or_store_are_refused(self):
        members, _ = self.start_pool(1, blockSize="64KiB")
        other = self.dir / "other.yaml"
        other.write_text(members.read_text().replace("64KiB", "128KiB"))
        self.check(self.cat(other, self.url), 1, "blockSize")
        other.write_text(members.read_text() + 'options: {endpoint: "http://127.0.0.1:1"}\n')
        self.check(self.cat(other, self.url), 1, "endpoint")


class Peers(PoolTest):
    def setUp(self):
        super().setUp()
        self.root = self.old_tree({"f": CONTENT})
        self.address = f"127.0.0.1:{harness.free_port()}"
        name = self.dir.name.removeprefix("fb-e2e-").replace("_", "-")
        self.members = self.write_members([(name, self.address)], allow=["file:///"],
                                          blockSize="64KiB")
        self.worker = self.start_worker(name, self.address, self.members)

    def connect(self):
        client = WireClient(self.address)
        self.addCleanup(client.close)
        return client

    def check_it_lives(self):
        self.assertIsNone(self.worker.process.poll())
        self.assertEqual(harness.http_get(self.worker.http, "/healthz")[0], 200)
        client = self.connect()
        self.assertEqual(client.greet(GRANULE).type, WELCOME)
        file = client.stat("file://", f"{self.root}/f"[1:])
        client.request(file, 1, GRANULE)
        frame = client.receive()
        self.assertEqual((frame.type, frame.payload), (BLOCK_DATA, CONTENT[GRANULE:2 * GRANULE]))

    def test_a_port_that_is_taken(self):
        members = self.write_members([("other", self.address)], allow=["file:///"], name="o.yaml")
        outcome = self.run_forebay("worker", "--name", "other", "--address", self.address,
                                   "--memory", "64MiB", "--members", members, "--state-dir",
                                   self.dir / "s2", timeout=20)
        self.check(outcome, 1, self.address, "in use")
        self.assertEqual(outcome.out, b"")
        self.assertFalse((self.dir / "s2" / "other" / "tier").exists())
        self.check_it_lives()

    def test_version_skew(self):
        for what, arguments in (("header", {"header_version": 9, "versions": (9, 9)}),
                                ("versions", {"versions": (9, 9)}),
                                ("old", {"versions": (0, 0)})):
            with self.subTest(skew=what):
                client = self.connect()
                answer = client.greet(GRANULE, **arguments)
                self.assertEqual((answer.type, answer.code), (ERROR, INVALID_ARGUMENT))
                self.assertIn("upgrade the older side", answer.message())
                with self.assertRaises((EOFError, ConnectionError)):
                    client.receive()
        newer = self.connect()  # One that still speaks ours.
        self.assertEqual(newer.greet(GRANULE, versions=(1, 9)).type, WELCOME)
        self.check_it_lives()

    def ends(self, client):
        """That the worker hangs up on us."""
        with self.assertRaises((EOFError, ConnectionError)):
            while client.receive().type == ERROR:
                pass

    def test_garbage_on_the_port(self):
        rng = random.Random(13)
        good = Frame(1, body=hello(GRANULE)).encode()
        huge = bytearray(good[:HEADER.size - 4])
        struct.pack_into("<I", huge, 8, 1 << 31)
        huge += struct.pack("<I", crc32c(huge))
        for garbage in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 4, bytes(4096),
                        rng.randbytes(100_000), bytes(huge), good[:-1] + b"\0",
                        Frame(READ_BLOCK, body=hello(GRANULE)).encode(),
                        Frame(99, body=hello(GRANULE)).encode()):
            with self.subTest(garbage=garbage[:16]):
                client = self.connect()
                try:
                    client.socket.sendall(garbage)
                except ConnectionError:
                    pass  # It may have had enough before the end.
                self.ends(client)
        self.check_it_lives()

    def test_garbage_after_the_greeting(self):
        rng = random.Random(14)
        body = sealed(rng.randbytes(50))
        for garbage in (rng.randbytes(HEADER.size * 2), Frame(READ_BLOCK, body=body).encode(),
                        Frame(BLOCK_DATA, body=body).encode(), Frame(9, acked=1 << 40).encode(),
                        Frame(READ_BLOCK, body=b"\xff" * 100).encode(),
                        Frame(10, payload=b"x" * 100).encode()):
            with self.subTest(garbage=garbage[:8]):
                client = self.connect()
                self.assertEqual(client.greet(GRANULE).type, WELCOME)
                client.socket.sendall(garbage)
                self.ends(client)
        half = self.connect()  # Half a frame, and then it goes.
        self.assertEqual(half.greet(GRANULE).type, WELCOME)
        half.socket.sendall(Frame(READ_BLOCK, body=body).encode()[:70])
        half.close()
        self.check_it_lives()

    def test_requests_that_make_no_sense(self):
        client = self.connect()
        self.assertEqual(client.greet(GRANULE).type, WELCOME)
        file = client.stat("file://", f"{self.root}/f"[1:])
        for index, length in ((99, GRANULE), (0, 0), (0, GRANULE + 1), (1 << 31, 1)):
            with self.subTest(index=index, length=length):
                client.request(file, index, length)
                self.assertEqual(client.receive().code, INVALID_ARGUMENT)
        self.check_it_lives()


if __name__ == "__main__":
    unittest.main()
