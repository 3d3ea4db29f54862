"""The article's experiment at 1/100 scale: a burst of clients over workers with slow links.

Two tables: what workers deliver, against a raw pairing over the same links in the same run; and the
article's figure, clients against time, beside clients that read straight from a capped store.
"""

import statistics

from netlab import Lab
from pool import Pool, RawPairing
from processes import cpu_seconds
from report import Row
from store import DataSet, S3Server

SUMMARY = "20 workers at 250 Mbit/s, 1 to 100 clients: against raw sendfile/recv, and the store"

WORKERS = 20
LINK_MBIT = 250
LINK_BYTES = LINK_MBIT * 1e6 / 8  # A second.
BLOCK = "64KiB"  # 4 MiB at scale.
FILE_BYTES = 1 << 20
FILES_MAX = 100
RAW_FILE_BYTES = 8 << 20

SCALING = [(workers, clients) for clients in (20, 100) for workers in (1, 2, 5, 10, 20)]
SCALING_SECONDS = 1.5  # That the links need for a burst.
WARM = 1.02  # What warm workers send, of what is read.
WARM_PASSES_MAX = 8
FIGURE_CLIENTS = (1, 10, 20, 50, 100)
FIGURE_FILES = 16
# The store's link, of the sum of the workers' links.
STORES = {"half": 0.5, "once": 1.0}
QUICK_SCALING = [(2, 20)]
QUICK_CLIENTS = (1, 20)


def files_for(workers, clients):
    """So many that the burst takes SCALING_SECONDS at line rate."""
    wanted = workers * LINK_BYTES * SCALING_SECONDS / clients / FILE_BYTES
    return max(1, min(FILES_MAX, round(wanted)))


class Burst:
    """The lab of the experiment, and what is measured in it."""

    def __init__(self, lab, setting, log):
        self._setting = setting
        self.workers = [lab.host(f"w-{i}", LINK_MBIT) for i in range(WORKERS)]
        self.clients = lab.host("clients")
        stores = {name: lab.host(f"store-{name}", int(share * WORKERS * LINK_MBIT))
                  for name, share in STORES.items()}
        self._data = DataSet(lab, FILES_MAX, FILE_BYTES)
        self._stores = {name: S3Server(lab, setting, host, self._data.root, log)
                        for name, host in stores.items()}
        self._lab = lab
        self._log = log
        self.raw = RawPairing(lab, setting, self.workers, self.clients, log)
        self.raw.start(RAW_FILE_BYTES)

    def _pool(self, workers, files):
        """Empty workers that may hold `files` each."""
        store = self._stores["once"]
        pool = Pool(self._lab, self._setting, self.workers[:workers], self.clients, self._log,
                    store.environment())
        memory = max(32 << 20, 1.5 * files * FILE_BYTES)
        pool.start(memory, BLOCK, store.options())
        return pool

    @staticmethod
    def _warm(pool, urls, clients):
        """Reads until copies of what is hot have spread: they go over the same links."""
        for _ in range(WARM_PASSES_MAX):
            before = pool.metric("forebay_worker_sent_bytes_total")
            read = pool.read(urls, clients)["bytes"]
            if pool.metric("forebay_worker_sent_bytes_total") - before <= WARM * read:
                return

    def warm_pool(self, workers, files, clients):
        """The names of so many files, and workers that hold them."""
        urls = self._data.s3_urls()[:files]
        pool = self._pool(workers, files)
        pool.fill(urls)
        self._warm(pool, urls, clients)
        return urls, pool

    def scaling(self, workers, clients):
        files = files_for(workers, clients)
        urls, pool = self.warm_pool(workers, files, clients)
        ratios, of_line, sent, spent = [], [], [], []
        for _ in range(self._setting.rounds):
            raw = self.raw.read(clients, files * FILE_BYTES, workers)
            before = pool.metric("forebay_worker_sent_bytes_total")
            cpu_before = sum(cpu_seconds(pid) for pid in pool.pids)
            ours = pool.read(urls, clients)
            moved = pool.metric("forebay_worker_sent_bytes_total") - before
            sent.append(moved / ours["bytes"])
            workers_cpu = sum(cpu_seconds(pid) for pid in pool.pids) - cpu_before
            spent.append(ours["cpuSecondsPerGB"] + workers_cpu / ours["bytes"] * 1e9)
            ratios.append(raw["seconds"] / ours["seconds"])
            of_line.append(ours["bytesPerSecond"] / (workers * LINK_BYTES))
        pool.stop()
        name = f"{clients} clients, {workers} workers"
        return [Row(f"{name}: rate, of raw", statistics.median(ratios), "", ">= 0.90",
                    f"{statistics.median(of_line):.2f} of line rate, "
                    f"{statistics.median(spent):.1f} core-s/GB"),
                Row(f"{name}: sent by workers", min(sent), "of read", ">= 0.95")]

    def figure(self, clients):
        """Mean access times, side by side."""
        urls = self._data.s3_urls()[:FIGURE_FILES]
        pool = self._pool(WORKERS, FIGURE_FILES)
        cold = pool.read(urls, clients)["taskSeconds"]["mean"]
        warm = statistics.median(pool.read(urls, clients)["taskSeconds"]["mean"]
                                 for _ in range(self._setting.rounds))
        pool.stop()
        rows = [Row(f"{clients} clients: warm", warm, "s"),
                Row(f"{clients} clients: cold", cold, "s", None, f"{cold / warm:.2f} x warm")]
        for name, store in self._stores.items():
            direct = Pool(self._lab, self._setting, [], self.clients, self._log,
                          store.environment()).read(urls, clients, direct=True)
            mean = direct["taskSeconds"]["mean"]
            rows.append(Row(f"{clients} clients: store x {STORES[name]}", mean, "s", None,
                            f"{mean / warm:.2f} x warm"))
        return rows


def run(setting, log):
    with Lab("bench-burst") as lab:
        burst = Burst(lab, setting, log)
        rows = []

        def add(more):
            rows.extend(more)
            for row in more:
                setting.say(f"    {row}")

        for workers, clients in QUICK_SCALING if setting.quick else SCALING:
            add(burst.scaling(workers, clients))
        for clients in QUICK_CLIENTS if setting.quick else FIGURE_CLIENTS:
            add(burst.figure(clients))
        return rows
