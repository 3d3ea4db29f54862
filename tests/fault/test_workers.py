"""Workers that die, freeze and come back while somebody reads through them."""

import hashlib
import random
import signal
import subprocess
import unittest

from pool_case import PoolTest

FILES = 120
RNG = random.Random(7)


class Workers(PoolTest):
    def setUp(self):
        super().setUp()
        self.contents = {f"{i:03}": RNG.randbytes(RNG.randrange(1, 600_000)) for i in range(FILES)}
        self.root = self.old_tree(self.contents)
        self.urls = [f"file://{self.root}/{name}" for name in self.contents]
        self.whole = b"".join(self.contents.values())

    def start_pool_here(self, count=3):
        self.members, self.workers = self.start_pool(count, blockSize="256KiB")

    def start_cat(self):
        """Reads the tree twice; what it writes waits in a pipe for step()."""
        process = self.start_forebay("cat", *self.urls, *self.urls, "--members", self.members,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.expected = memoryview(self.whole + self.whole)
        return process

    def read_part(self, process, numerator, denominator):
        """The next part of the output, compared: the pipe keeps the verb from running ahead."""
        count = len(self.expected) * numerator // denominator
        data = process.stdout.read(count)
        self.assertEqual(len(data), count)
        self.assertEqual(hashlib.sha256(data).hexdigest(),
                         hashlib.sha256(self.expected[:count]).hexdigest())
        self.expected = self.expected[count:]

    def read_rest(self, process):
        self.read_part(process, 1, 1)
        rest, messages = process.communicate(timeout=60)
        self.assertEqual((rest, process.returncode), (b"", 0), messages)

    def restart(self, worker):
        address = worker.ready_line.split()[2]
        return self.start_worker(worker.name, address, self.members)

    def test_killed_frozen_and_restarted_during_reads(self):
        self.start_pool_here()
        process = self.start_cat()
        self.read_part(process, 1, 8)
        self.workers[0].kill()
        self.read_part(process, 1, 7)
        self.workers[1].process.send_signal(signal.SIGSTOP)
        self.addCleanup(self.workers[1].process.send_signal, signal.SIGCONT)
        self.read_part(process, 1, 6)
        self.restart(self.workers[0])
        self.read_part(process, 1, 5)
        self.workers[1].process.send_signal(signal.SIGCONT)
        self.read_part(process, 1, 4)
        self.assertEqual(self.workers[2].stop(), 0)
        self.read_rest(process)

    def test_all_dead_during_reads(self):
        self.start_pool_here()
        process = self.start_cat()
        self.read_part(process, 1, 4)
        for worker in self.workers:
            worker.kill()
        self.read_rest(process)

    def test_all_frozen_during_reads(self):
        self.start_pool_here()
        process = self.start_cat()
        self.read_part(process, 1, 4)
        for worker in self.workers:
            worker.process.send_signal(signal.SIGSTOP)
            self.addCleanup(worker.process.send_signal, signal.SIGCONT)
        self.read_rest(process)

    def test_killed_under_a_burst(self):
        self.start_pool_here()
        burst = self.start_forebay("bench", "read", f"file://{self.root}/", "--tasks=12",
                                   "--processes=4", "--members", self.members, "-o", "json",
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        # Killed once it has served something; the others take its blocks over.
        while self.workers[0].metrics().get("forebay_worker_sent_bytes_total", 0) == 0:
            self.assertIsNone(burst.poll())
        self.workers[0].kill()
        output, messages = burst.communicate(timeout=100)
        self.assertEqual(burst.returncode, 0, messages)
        self.assertIn(f'"bytes": {12 * len(self.whole)}', output.decode())


if __name__ == "__main__":
    unittest.main()
