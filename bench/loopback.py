"""One worker to readers over loopback, against sendfile to recv in the same run."""

import statistics

from netlab import Lab
from pool import Pool, RawPairing
from processes import cpu_seconds
from report import Row
from store import DataSet

SUMMARY = "worker to client over loopback, 4 and 64 streams, against raw sendfile/recv"

FILE_BYTES = 64 << 20
FILES = 16
# Streams -> files that each reads: about 4 and 8 GiB in all.
STREAMS = {4: 16, 64: 2}
QUICK = {4: 2, 64: 1}


class _Side:
    """One way of moving bytes, and what its sender spent."""

    def __init__(self, pid, read):
        self._pid = pid
        self._read = read
        self.rates = []   # GB/s.
        self.senders = []  # Core-seconds per GB.
        self.readers = []

    def run(self):
        before = cpu_seconds(self._pid)
        report = self._read()
        moved = report["bytes"] / 1e9
        self.rates.append(moved / report["seconds"])
        self.senders.append((cpu_seconds(self._pid) - before) / moved)
        spent = report.get("cpuSeconds", report.get("cpuSecondsPerGB", 0) * moved)
        self.readers.append(spent / moved)


def _measure(pool, raw, urls, streams, rounds):
    size = len(urls) * FILE_BYTES
    ours = _Side(pool.pids[0], lambda: pool.read(urls, streams))
    plain = _Side(raw.pids[0], lambda: raw.read(streams, size))
    for _ in range(rounds):
        plain.run()
        ours.run()
    ratio = statistics.median(a / b for a, b in zip(ours.rates, plain.rates))
    middle = statistics.median
    return [
        Row(f"{streams} streams: rate, of raw", ratio, "", ">= 0.70",
            f"{middle(ours.rates):.2f} of {middle(plain.rates):.2f} GB/s"),
        Row(f"{streams} streams: worker", middle(ours.senders), "core-s/GB", "<= 0.12",
            f"raw sender {middle(plain.senders):.3f}"),
        Row(f"{streams} streams: readers", middle(ours.readers), "core-s/GB", None,
            f"raw reader {middle(plain.readers):.3f}")]


def run(setting, log):
    with Lab("bench-loopback") as lab:
        host = lab.host("w-0")
        count = max(QUICK.values()) if setting.quick else FILES
        data = DataSet(lab, count, FILE_BYTES)
        pool = Pool(lab, setting, [host], host, log)
        pool.start(1.5 * data.bytes, "4MiB", address="127.0.0.1")
        raw = RawPairing(lab, setting, [host], host, log)
        raw.start(data.bytes, address="127.0.0.1")
        data.settle()
        pool.fill(data.file_urls())
        rows = []
        for streams, files in (QUICK if setting.quick else STREAMS).items():
            setting.say(f"{streams} streams")
            rows += _measure(pool, raw, data.file_urls()[:files], streams, setting.rounds)
        return rows
