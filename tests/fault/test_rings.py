"""A burst in the middle of a change: half of the readers still go by the previous ring."""

import contextlib
import json
import random
import struct
import subprocess
import time
import unittest

from pool_case import Fault, PoolTest, harness
from group_case import GroupTest  # Where pool_case has made the path lead to.
from wire_client import GROUP, Frame, WireClient, sealed, text

BLOCK = 64 << 10
BLOCKS = 30
BODY = random.Random(3).randbytes(BLOCKS * BLOCK - 77)
PROCESSES, TASKS = 20, 50  # Of each.


def packed(value):
    """MessagePack of what a bench job is made of."""
    if isinstance(value, dict):
        return bytes([0x80 | len(value)]) + b"".join(packed(k) + packed(v)
                                                     for k, v in value.items())
    if isinstance(value, list):
        return bytes([0x90 | len(value)]) + b"".join(map(packed, value))
    if isinstance(value, str):
        return b"\xdb" + struct.pack(">I", len(value.encode())) + value.encode()
    return b"\xcf" + struct.pack(">Q", value)


class Reader:
    """One process of `bench read`: knows the group's map once it is there, and waits for `go`."""

    def __init__(self, test, attributes):
        self.process = subprocess.Popen(
            [harness.BINARY, "bench", "process", "--state-dir", str(test.state)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
            env=harness.clean_environment(test.dir, test.environment))
        test.addCleanup(self.end)
        job = packed({"tasks": TASKS, "files": [["forebay://prices/cold", *attributes]]})
        self.process.stdin.write(b"job %d\n" % len(job) + job)
        assert self.process.stdout.readline() == b"ready\n"

    def go(self):
        self.process.stdin.write(b"go %d\n" % time.monotonic_ns())

    def result(self):
        for line in self.process.stdout:
            if line.startswith(b"{"):
                return json.loads(line)
        raise AssertionError("a reader ended without its result")

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Rings(PoolTest, GroupTest):
    def test_one_get_a_block_while_the_ring_changes(self):
        self.start_store()
        self.put("data/cold", BODY)
        self.up(3, "--block-size-max", BLOCK, env=self.environment)
        self.ok("dataset", "create", "prices", "--mount", "s3://bucket/data", "--block-size",
                BLOCK, "--option", f"endpoint={self.proxy.url}", "--option", "region=us-east-1")
        self.ok("wait", "prices", "--cached", "0", "--timeout", "20s")
        [told] = json.loads(self.ok("stat", "forebay://prices/cold", "-o", "json"))
        attributes = [told["size"], 0, told["version"]]
        before = self.status()["groups"][0]["epoch"]
        early = [Reader(self, attributes) for _ in range(PROCESSES // 2)]
        self.join("late-0")
        self.join("late-1")
        self.await_status(lambda status: status["groups"][0]["epoch"] > before
                          and sum(w["role"] == "ring" for w in status["workers"]) == 5,
                          "a ring of five", 30)
        harness.wait_until(lambda: len({self.epoch_at(w) for w in self.workers().values()}) == 1,
                           "workers that all know it")
        late = [Reader(self, attributes) for _ in range(PROCESSES // 2)]
        # So slow that all readers come before the first block is there.
        self.proxy.set(Fault("delay", seconds=0.5, method="GET"))
        self.proxy.clear()
        for reader in early + late:
            reader.go()
        results = [reader.result() for reader in early + late]
        self.assertEqual(sum(r["bytes"] for r in results), PROCESSES * TASKS * len(BODY))
        self.assertEqual(sum(r["errors"] for r in results), 0)
        ranges = [entry.range for entry in self.proxy.log()
                  if entry.method == "GET" and "cold" in entry.target]
        self.assertEqual(len(ranges), BLOCKS, sorted(ranges))
        self.assertEqual(len(set(ranges)), BLOCKS)

    def epoch_at(self, worker):
        with contextlib.closing(WireClient(worker["address"])) as client:
            client.greet(0)
            client.send(Frame(GROUP, request_id=1, deadline_ms=20_000,
                              body=sealed(text("") + text(""))))
            return json.loads(client.receive().message())["map"]["epoch"]

    def join(self, name):
        log = open(self.dir / f"{name}.log", "wb")
        worker = subprocess.Popen(
            [harness.BINARY, "worker", "--name", name, "--state-dir", str(self.state), "--address",
             f"127.0.0.1:{harness.free_port()}", "--memory", "64MiB", "--block-size-max",
             str(BLOCK)], stdout=subprocess.PIPE, stderr=log,
            env=harness.clean_environment(self.dir, self.environment))
        log.close()

        def end():
            worker.terminate()
            worker.wait()
            worker.stdout.close()
        self.addCleanup(end)
        self.assertTrue(worker.stdout.readline().startswith(b"ready "))


if __name__ == "__main__":
    unittest.main()
