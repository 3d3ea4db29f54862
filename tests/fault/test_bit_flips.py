"""A flipped bit is caught, counted where it arose, healed, and never returned."""

import mmap
import pathlib
import random
import unittest

from byte_proxy import FlippingProxy
from pool_case import FAILURES, PoolTest, harness, total

BLOCK = 1 << 20
CONTENT = random.Random(6).randbytes(2 * BLOCK + 12345)


class BitFlips(PoolTest):
    def setUp(self):
        super().setUp()
        self.root = self.old_tree({"f": CONTENT})
        self.url = f"file://{self.root}/f"

    def failures(self, worker):
        metrics = worker.metrics()
        return {where: total(metrics, FAILURES, f'where="{where}"') for where in ("tier", "wire")}

    def places(self, worker, wanted):
        """Where the tier holds these bytes: [(file, offset)]."""
        found = []
        for path in pathlib.Path(self.state, worker.name, "tier").glob("*.data"):
            with open(path, "rb") as file, \
                    mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
                if (at := memory.find(wanted)) >= 0:
                    found.append((path, at))
        return found

    def test_in_the_tier(self):
        members, (worker,) = self.start_pool(1, blockSize="1MiB")
        self.check_bytes(self.cat(members, self.url), CONTENT)
        for number, at in enumerate((0, BLOCK + 70_000, len(CONTENT) - 1), 1):
            with self.subTest(at=at):
                sample = CONTENT[at - 64:at] if at else CONTENT[:64]
                ((path, place),) = self.places(worker, sample)
                place += 64 if at else 0
                with open(path, "r+b", buffering=0) as file:
                    file.seek(place)
                    self.assertEqual(file.read(1), CONTENT[at:at + 1])
                    file.seek(place)
                    file.write(bytes([CONTENT[at] ^ 0x01]))
                self.check_bytes(self.cat(members, self.url), CONTENT)
                self.assertEqual(self.failures(worker), {"tier": number, "wire": 0})
                # Healed: the pool serves it again, from a slot that is right.
                before = worker.metrics()
                self.check_bytes(self.cat(members, self.url), CONTENT)
                after = worker.metrics()
                hits = [total(m, "forebay_cache_requests_total", 'result="hit"')
                        for m in (before, after)]
                self.assertEqual(hits[1] - hits[0], 3)
                self.assertEqual(self.failures(worker), {"tier": number, "wire": 0})
                self.assertTrue(self.places(worker, CONTENT[at // BLOCK * BLOCK:][:BLOCK]))

    def start_behind_proxy(self):
        """(the clients' members file, the worker, the proxy between)"""
        address = f"127.0.0.1:{harness.free_port()}"
        name = self.dir.name.removeprefix("fb-e2e-").replace("_", "-")
        own = self.write_members([(name, address)], name="worker.yaml", allow=["file:///"],
                                 blockSize="1MiB")
        worker = self.start_worker(name, address, own)
        proxy = FlippingProxy(address)
        self.addCleanup(proxy.close)
        theirs = self.write_members([(name, proxy.address)], blockSize="1MiB")
        self.check_bytes(self.cat(theirs, self.url), CONTENT)
        return theirs, worker, proxy

    def test_on_the_wire(self):
        members, worker, proxy = self.start_behind_proxy()
        proxy.flip(1)
        self.check_bytes(self.cat(members, self.url), CONTENT)
        self.assertEqual(proxy.flipped, 1)
        self.assertEqual(self.failures(worker), {"tier": 0, "wire": 1})
        sent = worker.metrics()["forebay_worker_sent_bytes_total"]
        self.check_bytes(self.cat(members, self.url), CONTENT)
        self.assertEqual(worker.metrics()["forebay_worker_sent_bytes_total"] - sent, len(CONTENT))
        self.assertEqual(self.failures(worker), {"tier": 0, "wire": 1})

    def test_on_a_wire_that_never_heals(self):
        members, worker, proxy = self.start_behind_proxy()
        proxy.flip(-1)
        self.check_bytes(self.cat(members, self.url), CONTENT)
        self.assertGreaterEqual(proxy.flipped, 6)  # Each of three blocks, and once more.
        self.assertEqual(self.failures(worker)["tier"], 0)


if __name__ == "__main__":
    unittest.main()
