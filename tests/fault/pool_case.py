"""What the fault tests share: a pool in front of a real S3 server, with a lying proxy between.

Stands on tests/e2e/harness.py and tests/store/fault_proxy.py.
"""

import os
import pathlib
import subprocess
import sys

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "e2e"), str(TESTS / "store")]

import harness  # noqa: E402
from fault_proxy import Fault, FaultProxy  # noqa: E402,F401

REQUESTS = "forebay_cache_requests_total"
FAILURES = "forebay_checksum_failures_total"
UPSTREAM = "forebay_upstream_requests_total"


def total(metrics, name, *labels):
    """The sum over the series of `name` that carry all of `labels`, written `key="value"`."""
    return sum(value for series, value in metrics.items()
               if series.startswith(name + "{") and all(label in series for label in labels))


def pool_total(workers, name, *labels):
    return sum(total(worker.metrics(), name, *labels) for worker in workers)


class PoolTest(harness.ForebayTest):
    """Pools over files, and over S3 through `self.proxy`."""

    def setUp(self):
        super().setUp()
        self.addCleanup(self.unmount_what_is_left)

    def unmount_what_is_left(self):
        """A worker that had to be killed leaves its tier's mount, and memory in it."""
        for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
            where = line.split()[1]
            if where.startswith(f"{self.dir}/"):
                subprocess.run(["umount", "-l", where], check=True)

    def start_store(self):
        if not os.access(harness.VERSITYGW, os.X_OK):
            self.fail(f"no S3 server at {harness.VERSITYGW}; set FOREBAY_VERSITYGW")
        self.server = harness.S3Server(self)
        self.proxy = FaultProxy("127.0.0.1", self.server.port).start()
        self.addCleanup(self.proxy.stop)
        self.environment = dict(self.server.environment, AWS_ENDPOINT_URL=self.proxy.url)

    def put(self, key, content):
        """Puts an object, past the proxy."""
        path = self.dir / "object"
        path.write_bytes(content)
        self.server.rclone("copyto", str(path), f"s3:bucket/{key}")

    def s3_pool(self, count=1, memory="64MiB", **settings):
        """A pool whose workers and clients see the store through the proxy."""
        settings.setdefault("options", {"endpoint": self.proxy.url, "region": "us-east-1"})
        return self.start_pool(count, memory=memory, env=self.environment, **settings)

    def cat(self, members, *urls, timeout=None, env=None):
        """`forebay cat` through the pool."""
        more = ["--read-timeout", timeout] if timeout else []
        environment = env or getattr(self, "environment", None)
        return self.run_forebay("cat", *urls, "--members", members, *more, env=environment)

    def check_bytes(self, outcome, expected):
        """Exit code 0 and these bytes; says how they differ without printing them."""
        self.assertEqual(outcome.code, 0, outcome.err)
        self.assertEqual(len(outcome.out), len(expected))
        self.assertTrue(outcome.out == expected, "wrong bytes")
