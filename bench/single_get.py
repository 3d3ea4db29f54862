"""A thousand readers of one cold file cost the store one GET a block."""

import dataclasses

from netlab import Lab
from pool import Pool
from report import Row
from store import DataSet, S3Server

SUMMARY = "1,000 readers of one cold file from 20 processes: GETs that reach the store"

BLOCK = 256 << 10
FILE_BYTES = 8 << 20
TASKS = 1000
PROCESSES = 20
WORKERS = 3
QUICK_TASKS = 100


def run(setting, log):
    with Lab("bench-single") as lab:
        host = lab.host("host")
        workers = [dataclasses.replace(host, name=f"w-{i}") for i in range(WORKERS)]
        data = DataSet(lab, 1, FILE_BYTES)
        store = S3Server(lab, setting, host, data.root, log, address="127.0.0.1")
        pool = Pool(lab, setting, workers, host, log, store.environment())
        pool.start(64 << 20, str(BLOCK), store.options(), address="127.0.0.1")
        tasks = QUICK_TASKS if setting.quick else TASKS
        report = pool.read(data.s3_urls(), PROCESSES, tasks)
        blocks = data.bytes / BLOCK
        return [
            Row("GETs a block", store.requests("s3_GetObject") / blocks, "", "<= 1.0",
                f"{blocks:.0f} blocks, {tasks} readers of each"),
            Row("HEADs", store.requests("s3_HeadObject"), "", "<= 1"),
            Row("longest task", report["taskSeconds"]["max"], "s", None,
                f"{report['bytes'] / report['seconds'] / 1e9:.2f} GB/s in all")]
