"""However many ask: one GET for a block, one HEAD for a name, within the staleness bound."""

import random
import unittest

from pool_case import Fault, PoolTest, REQUESTS, harness, pool_total

BLOCK = 256 << 10
BLOCKS = 12
BODY = random.Random(9).randbytes(BLOCKS * BLOCK - 999)
PROCESSES, TASKS = 8, 200


class Counts(PoolTest):
    def setUp(self):
        super().setUp()
        self.start_store()
        self.put("cold/file", BODY)
        self.members, self.workers = self.s3_pool(3, blockSize="256KiB")

    def burst(self, *more):
        outcome = self.run_forebay("bench", "read", "s3://bucket/cold/file", "--members",
                                   self.members, "--tasks", TASKS, "--processes", PROCESSES,
                                   "-o", "json", *more, env=self.environment, timeout=120)
        self.check(outcome, 0)
        self.assertIn(f'"bytes": {TASKS * len(BODY)}', outcome.out.decode())

    def test_one_get_a_block_and_one_head_a_file(self):
        # So slow that all readers come before the first block is there.
        self.proxy.set(Fault("delay", seconds=0.5, method="GET"))
        self.burst()
        ranges = sorted(entry.range for entry in self.proxy.log() if entry.method == "GET"
                        and "cold" in entry.target)
        wanted = sorted(f"bytes={i * BLOCK}-{min((i + 1) * BLOCK, len(BODY)) - 1}"
                        for i in range(BLOCKS))
        self.assertEqual(ranges, wanted)
        self.assertEqual(self.proxy.count("HEAD"), 1)
        self.assertLessEqual(self.proxy.count("LIST"), 1)
        self.assertGreater(pool_total(self.workers, REQUESTS, 'result="coalesced"'), TASKS)
        # Once more: the store hears nothing.
        self.proxy.clear()
        self.burst()
        self.assertEqual(self.proxy.log(), [])

    def test_after_the_staleness_bound_one_more_head(self):
        members, _ = self.s3_pool_again("1s")
        url = "s3://bucket/cold/file"
        self.check_bytes(self.cat(members, url), BODY)
        heads = self.proxy.count("HEAD")

        def asked_again():
            self.check_bytes(self.cat(members, url), BODY)
            return self.proxy.count("HEAD") > heads
        harness.wait_until(asked_again, "a second HEAD")
        self.assertEqual(self.proxy.count("HEAD"), heads + 1)
        self.assertEqual(self.proxy.count("GET", "cold"), BLOCKS)

    def s3_pool_again(self, staleness):
        for worker in self.workers:
            self.assertEqual(worker.stop(), 0)
        return self.s3_pool(2, blockSize="256KiB", staleness=staleness)


if __name__ == "__main__":
    unittest.main()
