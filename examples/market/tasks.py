"""A burst: N processes that stand ready, one start signal, and what each took."""

import dataclasses
import json
import math
import os
import select
import statistics
import struct
import subprocess
import time

from netlab import LabError

READY_SECONDS = 60.0
BURST_SECONDS = 180.0
VOLATILITY_TOLERANCE = 1e-9  # Relative: another order of summation and another `log`.


@dataclasses.dataclass(frozen=True)
class Links:
    """Bytes over the hosts' links, by the links' own counters."""

    store_sent: int
    workers_sent: int
    tasks_received: int

    def __sub__(self, before):
        return Links(self.store_sent - before.store_sent, self.workers_sent - before.workers_sent,
                     self.tasks_received - before.tasks_received)


@dataclasses.dataclass(frozen=True)
class Outcome:
    access_seconds: list[float]  # Of each task: signal to last byte.
    first_byte_seconds: list[float]
    bytes: int                   # Read by all tasks.
    sources: dict[str, int]      # The same bytes by where they came from, as the client says.
    links: Links

    @property
    def mean(self):
        return statistics.fmean(self.access_seconds)

    @property
    def p99(self):
        ranked = sorted(self.access_seconds)
        return ranked[math.ceil(0.99 * len(ranked)) - 1]

    @property
    def longest(self):
        return max(self.access_seconds)

    @property
    def bandwidth(self):
        return self.bytes / self.longest


def burst(lab, host, count, command, environment, log, links):
    """Starts `count` of `command` on `host`, gives the signal, and waits for all.

    The signal is eight bytes on the standard input of each: the time of the signal, CLOCK_MONOTONIC
    nanoseconds, little-endian. `links` returns the counters now. Returns (seconds from the signal
    to each process's end, what each printed after `started`, Links).
    """
    signal_read, signal_write = os.pipe()
    try:
        processes = [lab.start(host, command, stdin=signal_read, stdout=subprocess.PIPE,
                               stderr=log, env=environment, bufsize=0) for _ in range(count)]
        deadline = time.monotonic() + READY_SECONDS
        for process in processes:
            _await_started(process, deadline, log)
        before = links()
        signal = time.monotonic_ns()
        os.write(signal_write, struct.pack("<Q", signal) * count)
        seconds = _await_ends(processes, signal)
    finally:
        os.close(signal_read)
        os.close(signal_write)
    moved = links() - before
    printed = [process.stdout.read() for process in processes]
    for process in processes:
        process.stdout.close()
        if process.wait() != 0:
            raise LabError(f"a task ended with {process.returncode}: see {log.name}")
    return seconds, printed, moved


def _await_started(process, deadline, log):
    left = max(0.0, deadline - time.monotonic())
    if not select.select([process.stdout], [], [], left)[0]:
        raise LabError(f"a task did not start within {READY_SECONDS:.0f} s: see {log.name}")
    line = process.stdout.readline()
    if line != b"started\n":
        raise LabError(f"a task said {line!r} instead of `started`: see {log.name}")


def _await_ends(processes, signal):
    """Seconds from `signal` to the end of each process, in their order."""
    poll = select.poll()
    number = {}
    try:
        for i, process in enumerate(processes):
            pidfd = os.pidfd_open(process.pid)
            number[pidfd] = i
            poll.register(pidfd, select.POLLIN)
        seconds = [0.0] * len(processes)
        waiting = len(processes)
        while waiting:
            left = BURST_SECONDS - (time.monotonic_ns() - signal) / 1e9
            ended = poll.poll(left * 1e3) if left > 0 else []
            if not ended:
                raise LabError(f"{waiting} tasks had not ended {BURST_SECONDS:.0f} s after the "
                               "signal")
            now = time.monotonic_ns()
            for pidfd, _ in ended:
                seconds[number[pidfd]] = (now - signal) / 1e9
                poll.unregister(pidfd)
                waiting -= 1
        return seconds
    finally:
        for pidfd in number:
            os.close(pidfd)


def outcome_of_tasks(printed, links, expected, expected_bytes):
    """The Outcome of `market_task` processes. Raises LabError if one computed anything else than
    `expected`: the entries of the manifest by URL."""
    reports = [json.loads(text) for text in printed]
    sources = {"local": 0, "peer": 0, "upstream": 0}
    for report in reports:
        if report["bytes"] != expected_bytes:
            raise LabError(f"a task read {report['bytes']} bytes instead of {expected_bytes}")
        for url, entry in expected.items():
            found = report["volatility"].get(url)
            if found is None or not math.isclose(found, entry["volatility"],
                                                 rel_tol=VOLATILITY_TOLERANCE):
                raise LabError(f"{url}: volatility {found} instead of {entry['volatility']}")
            digest = report.get("sha256", {}).get(url, entry["sha256"])
            if digest != entry["sha256"]:
                raise LabError(f"{url}: SHA-256 {digest} instead of {entry['sha256']}")
        for source in sources:
            sources[source] += report["sources"][source]
    return Outcome([r["accessSeconds"] for r in reports], [r["firstByteSeconds"] for r in reports],
                   sum(r["bytes"] for r in reports), sources, links)
