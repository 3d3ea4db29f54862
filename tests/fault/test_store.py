"""A store that is down, slow or throttling, or whose objects change, behind a worker."""

import concurrent.futures
import random
import select
import subprocess
import time
import unittest

from pool_case import REQUESTS, Fault, PoolTest, harness, pool_total

BLOCK = 256 << 10
RNG = random.Random(8)
BODY = RNG.randbytes(3 * BLOCK + 777)


class Store(PoolTest):
    def setUp(self):
        super().setUp()
        self.start_store()

    def start(self, count=1, **settings):
        self.members, self.workers = self.s3_pool(count, blockSize="256KiB", **settings)

    def lie(self, fault, method="GET", times=-1):
        self.proxy.clear()
        fault.method = method
        self.proxy.set(fault, times=times)

    def test_down(self):
        self.put("cached", BODY)
        self.put("cold", BODY)
        self.start(2)
        self.check_bytes(self.cat(self.members, "s3://bucket/cached"), BODY)
        self.proxy.set(Fault("refuse"))
        self.check_bytes(self.cat(self.members, "s3://bucket/cached"), BODY)
        for kind in ("refuse", "hang"):
            with self.subTest(kind=kind):
                self.proxy.clear()
                self.proxy.set(Fault(kind, seconds=3))
                began = time.monotonic()
                outcome = self.cat(self.members, "s3://bucket/cold", timeout="2s")
                took = time.monotonic() - began
                self.check(outcome, 1, "s3://bucket/cold")
                self.assertRegex(outcome.err, "deadline|attempts|in time|closed|answer")
                self.assertLess(took, 2 + 3)  # And a busy machine.
        self.proxy.clear()
        self.check_bytes(self.cat(self.members, "s3://bucket/cold"), BODY)

    def test_slow(self):
        self.put("slow", BODY)
        self.start()
        self.proxy.set(Fault("delay", seconds=1.0))
        self.check_bytes(self.cat(self.members, "s3://bucket/slow"), BODY)

    def test_throttling(self):
        self.put("busy", BODY)
        self.put("later", BODY)
        self.start()
        self.lie(Fault("status", status=503), times=2)
        self.check_bytes(self.cat(self.members, "s3://bucket/busy"), BODY)
        self.assertEqual(pool_total(self.workers, "forebay_upstream_requests_total",
                                    'code="503"'), 2)
        self.lie(Fault("status", status=503, retry_after="2", match="later"), times=1)
        began = time.monotonic()
        self.check_bytes(self.cat(self.members, "s3://bucket/later"), BODY)
        self.assertGreaterEqual(time.monotonic() - began, 2)

    def test_replaced_between_two_reads(self):
        self.put("fresh", BODY)
        self.start(staleness="0s")
        self.check_bytes(self.cat(self.members, "s3://bucket/fresh"), BODY)
        self.put("fresh", BODY[::-1])
        self.check_bytes(self.cat(self.members, "s3://bucket/fresh"), BODY[::-1])

    def start_readers(self, count):
        return [self.start_forebay("cat", "s3://bucket/object", "--members", self.members,
                                   env=self.environment, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE) for _ in range(count)]

    def ends(self, readers, versions):
        """What each saw: 0 or 1, a version whole, or "changed" after the beginning of one."""
        with concurrent.futures.ThreadPoolExecutor(len(readers)) as pool:
            answers = list(pool.map(lambda reader: reader.communicate(timeout=100), readers))
        ends = []
        for reader, (out, messages) in zip(readers, answers):
            if reader.returncode == 0:
                self.assertIn(out, versions, "a mix")
                ends.append(versions.index(out))
            else:
                self.assertEqual(reader.returncode, 1, messages)
                self.assertIn("version", messages.decode())
                self.assertTrue(any(version.startswith(out) for version in versions), "a mix")
                ends.append("changed")
        return ends

    def test_replaced_under_fifty_readers_of_what_is_cached(self):
        versions = [RNG.randbytes(24 * BLOCK + 5), RNG.randbytes(20 * BLOCK + 9)]
        self.put("object", versions[0])
        self.start(2, staleness="0s")
        self.check_bytes(self.cat(self.members, "s3://bucket/object"), versions[0])
        early = self.start_readers(20)
        for reader in early:  # It has begun, and then waits for somebody to read its pipe.
            select.select([reader.stdout], [], [], harness.START_TIMEOUT)
        self.put("object", versions[1])
        late = self.start_readers(30)
        ends = self.ends(early + late, versions)
        self.assertEqual(ends, [0] * 20 + [1] * 30)

    def test_replaced_under_fifty_readers_of_what_is_cold(self):
        versions = [RNG.randbytes(24 * BLOCK + 5), RNG.randbytes(20 * BLOCK + 9)]
        self.put("object", versions[0])
        self.start(2, staleness="0s")
        # Blocks come slowly, so that all are still reading when the object is replaced.
        self.proxy.set(Fault("delay", seconds=0.25, method="GET"))
        readers = self.start_readers(50)
        harness.wait_until(lambda: pool_total(self.workers, REQUESTS) > 100, "readers", 60)
        self.put("object", versions[1])
        self.assertEqual(len(self.ends(readers, versions)), 50)
        self.proxy.clear()
        self.check_bytes(self.cat(self.members, "s3://bucket/object"), versions[1])


if __name__ == "__main__":
    unittest.main()
