"""A worker that was killed has its blocks again; one that ended in order leaves nothing."""

import mmap
import pathlib
import random
import socket
import statistics
import subprocess
import time
import unittest

from pool_case import FAILURES, PoolTest, REQUESTS, harness, pool_total, total

BLOCK = 256 << 10
FILES = 40
ROUNDS = 20
FULL_BYTES = 1900 << 20  # Below the mark at which a tier of 2 GiB begins to evict.
RESTARTS = 5
MEDIAN_S, MOST_S = 3, 15  # Idle, 0.1 and 0.2 s; other work runs beside this.


class RestartTest(PoolTest):
    def tier(self, worker):
        return pathlib.Path(self.state, worker.name, "tier")

    def restart(self, worker, members, memory="64MiB"):
        return self.start_worker(worker.name, worker.ready_line.split()[2], members,
                                 memory=memory, env=getattr(self, "environment", None))

    def assert_no_tier(self, worker):
        tier = self.tier(worker)
        self.assertFalse(tier.is_dir() and list(tier.iterdir()))
        self.assertNotIn(str(tier), pathlib.Path("/proc/self/mounts").read_text())


class OverS3(RestartTest):
    def test_a_killed_pool_reads_nothing_again(self):
        self.start_store()
        rng = random.Random(21)
        contents = {f"{i:02}": rng.randbytes(rng.randrange(1, 4 * BLOCK)) for i in range(FILES)}
        self.server.put_tree(self.make_tree(contents), "set")
        urls = [f"s3://bucket/set/{name}" for name in contents]
        whole = b"".join(contents.values())
        members, workers = self.s3_pool(2, blockSize="256KiB")
        self.check_bytes(self.cat(members, *urls), whole)
        self.assertGreater(self.proxy.count("GET"), FILES)
        for worker in workers:
            worker.kill()
        workers = [self.restart(worker, members) for worker in workers]
        self.proxy.clear()
        self.check_bytes(self.cat(members, *urls), whole)
        self.assertEqual(self.proxy.count("GET"), 0)
        self.assertEqual(pool_total(workers, "forebay_upstream_bytes_total"), 0)
        self.assertEqual(pool_total(workers, REQUESTS, 'result="miss"'), 0)
        self.assertEqual(pool_total(workers, FAILURES), 0)
        for worker in workers:  # In order now: nothing is left of it.
            self.assertEqual(worker.stop(), 0)
            self.assert_no_tier(worker)


class OverFiles(RestartTest):
    def start(self, size, memory="64MiB"):
        self.content = random.Random(22).randbytes(size)
        self.root = self.old_tree({"f": self.content})
        self.url = f"file://{self.root}/f"
        self.members, (worker,) = self.start_pool(1, memory=memory, blockSize="256KiB")
        return worker

    def counts(self, worker):
        metrics = worker.metrics()
        return {"tier": total(metrics, FAILURES, 'where="tier"'),
                "wire": total(metrics, FAILURES, 'where="wire"'),
                "misses": total(metrics, REQUESTS, 'result="miss"')}

    def test_a_bit_that_flips_between_death_and_restart(self):
        worker = self.start(8 * BLOCK)
        self.check_bytes(self.cat(self.members, self.url), self.content)
        worker.kill()
        at = 5 * BLOCK + 70_000
        for path in self.tier(worker).glob("*.data"):
            with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
                if (place := memory.find(self.content[at:at + 64])) >= 0:
                    memory[place] ^= 0x40
                    break
        else:
            self.fail("the tier does not hold the block")
        worker = self.restart(worker, self.members)
        self.check_bytes(self.cat(self.members, self.url), self.content)
        self.assertEqual(self.counts(worker), {"tier": 1, "wire": 0, "misses": 1})
        self.check_bytes(self.cat(self.members, self.url), self.content)
        self.assertEqual(self.counts(worker), {"tier": 1, "wire": 0, "misses": 1})

    def test_a_start_that_fails_leaves_what_is_there(self):
        worker = self.start(8 * BLOCK)
        self.check_bytes(self.cat(self.members, self.url), self.content)
        worker.kill()
        path = worker.ready_line.split()[2].removeprefix("unix:")
        pathlib.Path(path).unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(path)
            other.listen()
            with self.assertRaisesRegex(AssertionError, "in use"):
                self.restart(worker, self.members)
        worker = self.restart(worker, self.members)
        self.check_bytes(self.cat(self.members, self.url), self.content)
        self.assertEqual(self.counts(worker), {"tier": 0, "wire": 0, "misses": 0})

    def test_another_block_size_starts_empty(self):
        worker = self.start(8 * BLOCK)
        self.check_bytes(self.cat(self.members, self.url), self.content)
        worker.kill()
        address = worker.ready_line.split()[2]
        members = self.write_members([(worker.name, address)], name="other.yaml",
                                     allow=["file:///"], blockSize="512KiB")
        worker = self.restart(worker, members)
        self.assertEqual(worker.metrics()["forebay_cache_used_bytes"], 0)
        self.check_bytes(self.cat(members, self.url), self.content)
        self.assertEqual(self.counts(worker), {"tier": 0, "wire": 0, "misses": 4})
        self.assertEqual(worker.stop(), 0)
        self.assert_no_tier(worker)

    def test_a_smaller_quota(self):
        worker = self.start(100 * BLOCK, memory="64MiB")
        self.check_bytes(self.cat(self.members, self.url), self.content)
        worker.kill()
        worker = self.restart(worker, self.members, memory="16MiB")
        blocks = sum(path.stat().st_blocks for path in self.tier(worker).iterdir())
        self.assertLessEqual(blocks * 512, 16 << 20)
        self.assertGreater(worker.metrics()["forebay_cache_used_bytes"], 8 << 20)
        self.check_bytes(self.cat(self.members, self.url), self.content)

    def test_killed_in_the_middle_of_fills(self):
        worker = self.start(160 * BLOCK, memory="16MiB")  # So that blocks also give way.
        rng = random.Random(23)
        for round_number in range(ROUNDS):
            with self.subTest(round=round_number):
                sent = rng.randrange(1, len(self.content))
                process = self.start_forebay("cat", self.url, "--members", self.members,
                                             stdout=subprocess.PIPE)
                self.assertEqual(process.stdout.read(sent), self.content[:sent])
                worker.kill()
                worker = self.restart(worker, self.members, memory="16MiB")
                rest = process.stdout.read()
                self.assertTrue(rest == self.content[sent:], "wrong bytes")
                self.assertEqual(process.wait(timeout=60), 0)
                self.check_bytes(self.cat(self.members, self.url), self.content)
                self.assertEqual(self.counts(worker)["tier"], 0)
                self.assertEqual(self.counts(worker)["wire"], 0)


class Full(RestartTest):
    def test_a_full_tier_is_there_at_once(self):
        path = self.dir / "data" / "big"
        path.parent.mkdir()
        with open(path, "wb") as file:
            file.truncate(FULL_BYTES)
        harness.wait_until(lambda: time.time() - path.stat().st_ctime > 2.1, "an old file")
        members, (worker,) = self.start_pool(1, memory="2GiB", blockSize="4MiB")
        reader = self.start_forebay("cat", f"file://{path}", "--members", members,
                                    stdout=subprocess.DEVNULL)
        self.assertEqual(reader.wait(timeout=120), 0)
        self.assertEqual(worker.metrics()["forebay_cache_used_bytes"], FULL_BYTES)
        took = []
        for _ in range(RESTARTS):
            worker.kill()
            began = time.monotonic()
            worker = self.restart(worker, members, memory="2GiB")
            took.append(time.monotonic() - began)
            self.assertEqual(worker.metrics()["forebay_cache_used_bytes"], FULL_BYTES)
        median = statistics.median(took)
        print(f"restart with {FULL_BYTES >> 20} MiB: median {median:.2f} s, most {max(took):.2f} s")
        self.assertLess(median, MEDIAN_S)
        self.assertLess(max(took), MOST_S)
        reader = self.start_forebay("cat", f"file://{path}", "--members", members,
                                    stdout=subprocess.DEVNULL)
        self.assertEqual(reader.wait(timeout=120), 0)
        self.assertEqual(pool_total([worker], "forebay_upstream_bytes_total"), 0)


if __name__ == "__main__":
    unittest.main()
