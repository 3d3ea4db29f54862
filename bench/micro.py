"""The micro benchmarks beside the code that they measure (src/*_bench.cc, Google Benchmark)."""

import json
import os
import subprocess

from netlab import LabError
from processes import urgent
from report import Row

SUMMARY = "Google Benchmark of ring, eviction, CRC32C, framing and re-adoption"

FOLDERS = ("base", "core", "store", "wire")
MIN_SECONDS = 0.5
QUICK_MIN_SECONDS = 0.01


def _row(result):
    if "bytes_per_second" in result:
        return Row(result["name"], result["bytes_per_second"] / 1e9, "GB/s")
    manual = "manual_time" in result["name"]  # What is timed runs in another process.
    return Row(result["name"], result["real_time" if manual else "cpu_time"], result["time_unit"])


def run(setting, log):
    least = QUICK_MIN_SECONDS if setting.quick else MIN_SECONDS
    rows = []
    for folder in FOLDERS:
        binary = os.path.join(setting.micro, folder, f"{folder}_bench")
        if not os.path.exists(binary):
            raise LabError(f"{binary} is not built: configure with -DFOREBAY_BENCH=ON and build "
                           "the target micro_benches")
        done = subprocess.run(
            urgent([binary, "--benchmark_format=json", f"--benchmark_min_time={least}"]),
            start_new_session=True, stdout=subprocess.PIPE, stderr=log, check=True)
        rows += [_row(result) for result in json.loads(done.stdout)["benchmarks"]]
    return rows
