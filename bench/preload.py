"""A pool of slow links is filled from a store whose link is open."""

from netlab import Lab
from pool import Pool
from report import Row
from store import DataSet, S3Server

SUMMARY = "4 GB in 1 MiB blocks onto 20 workers at 100 Mbit/s each"

WORKERS = 20
LINK_MBIT = 100
BLOCK = "1MiB"
FILE_BYTES = 250 << 20
FILES = 16
QUICK_FILE_BYTES = 5 << 20


def run(setting, log):
    with Lab("bench-preload") as lab:
        workers = [lab.host(f"w-{i}", LINK_MBIT) for i in range(WORKERS)]
        client = lab.host("client")
        store_host = lab.host("store")
        size = QUICK_FILE_BYTES if setting.quick else int(FILE_BYTES * setting.scale)
        data = DataSet(lab, FILES, size)
        store = S3Server(lab, setting, store_host, data.root, log)
        pool = Pool(lab, setting, workers, client, log, store.environment())
        pool.start(max(64 << 20, 2 * data.bytes / WORKERS), BLOCK, store.options())
        before = [lab.counters(w).received for w in workers]
        report = pool.fill(data.s3_urls())
        received = [lab.counters(w).received - b for w, b in zip(workers, before)]
        line = data.bytes / (WORKERS * LINK_MBIT * 1e6 / 8)
        busiest = max(received) / (LINK_MBIT * 1e6 / 8)
        return [
            Row("time, of the links' at line rate", report["seconds"] / line, "", "<= 1.3",
                f"{report['seconds']:.1f} of {line:.1f} s"),
            Row("the busiest link's share of it", busiest / line, "", None,
                "what placement leaves: its bytes at line rate"),
            Row("fetched from the store", sum(received) / data.bytes, "x data", "<= 1.1"),
            Row("evictions", pool.metric("forebay_evictions_total"), "", "<= 0")]
