"""What of the burst is Forebay's to win: the least programs that ask for blocks, beside it and raw.

All over the same links, in turns; raw asks for nothing, it is one stream of bytes a client.
"""

import statistics

from burst import FILE_BYTES, QUICK_SCALING, WORKERS, Burst, files_for
from netlab import Lab
from pool import RawRequests
from processes import cpu_seconds
from report import Row

SUMMARY = "the burst by the least programs that ask for 64 KiB blocks, against raw and Forebay"

CLIENTS = (20, 100)
# Blocks that a client has under way: as many as Forebay's may, half of it, and twice.
WINDOWS = (8, 16, 32)
MODES = ("epoll", "threads", "late")  # bench/raw_requests.cc.
WINDOW = 16
FILE_BYTES_SERVED = 8 << 20


class _Way:
    """One way of reading the same bytes."""

    def __init__(self, name, read, pids):
        self.name = name
        self._read = read
        self._pids = pids
        self.seconds = []
        self.spent = []  # Core-seconds per GB, both ends.

    def run(self):
        before = sum(cpu_seconds(pid) for pid in self._pids)
        report = self._read()
        workers = sum(cpu_seconds(pid) for pid in self._pids) - before
        moved = report["bytes"] / 1e9
        readers = report.get("cpuSeconds", report.get("cpuSecondsPerGB", 0) * moved)
        self.seconds.append(report["seconds"])
        self.spent.append((readers + workers) / moved)


def _measure(burst, requests, clients, rounds):
    files = files_for(WORKERS, clients)
    size = files * FILE_BYTES
    urls, pool = burst.warm_pool(WORKERS, files, clients)

    def least(mode, window):
        return _Way(f"{mode}, window {window}",
                    lambda: requests.read(mode, clients, size, window), requests.pids)

    raw = _Way("raw", lambda: burst.raw.read(clients, size, WORKERS), burst.raw.pids)
    ways = [least("epoll", window) for window in WINDOWS]
    ways += [least(mode, WINDOW) for mode in MODES if mode != "epoll"]
    ways.append(_Way("Forebay", lambda: pool.read(urls, clients), pool.pids))
    for _ in range(rounds):
        raw.run()
        for way in ways:
            way.run()
    pool.stop()
    rows = []
    for way in [raw, *ways]:
        ratio = statistics.median(a / b for a, b in zip(raw.seconds, way.seconds))
        note = (f"{statistics.median(way.seconds):.2f} s, "
                f"{statistics.median(way.spent):.1f} core-s/GB, "
                f"{min(a / b for a, b in zip(raw.seconds, way.seconds)):.2f} to "
                f"{max(a / b for a, b in zip(raw.seconds, way.seconds)):.2f}")
        rows.append(Row(f"{clients} clients: {way.name}, of raw", ratio, "", None, note))
    return rows


def run(setting, log):
    with Lab("bench-limits") as lab:
        burst = Burst(lab, setting, log)
        requests = RawRequests(lab, setting, burst.workers, burst.clients, log)
        requests.start(FILE_BYTES_SERVED)
        rows = []
        for clients in [c for _, c in QUICK_SCALING] if setting.quick else CLIENTS:
            more = _measure(burst, requests, clients, setting.rounds)
            rows += more
            for row in more:
                setting.say(f"    {row}")
        return rows
