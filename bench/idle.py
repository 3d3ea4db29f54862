"""What thousands of connections cost a worker that nobody reads from."""

import os
import subprocess

from netlab import Lab
from pool import PORT, Pool
from processes import resident_bytes, urgent, wait_ready
from report import Row
from store import DataSet

SUMMARY = "4,000 idle connections on one worker: memory, and a new reader's wait"

CONNECTIONS = 4000
QUICK_CONNECTIONS = 200
BLOCK = 1 << 20


def _kernel_bytes():
    """Memory of the kernel that hangs on threads and sockets, of the whole machine."""
    with open("/proc/meminfo", encoding="ascii") as file:
        fields = {line.split()[0]: int(line.split()[1]) for line in file}
    return 1024 * (fields["Slab:"] + fields["KernelStack:"] + fields["PageTables:"])


def run(setting, log):
    with Lab("bench-idle") as lab:
        host = lab.host("w-0")
        data = DataSet(lab, 1, BLOCK)
        pool = Pool(lab, setting, [host], host, log)
        pool.start(64 << 20, str(BLOCK), address="127.0.0.1")
        pool.cat(data.file_urls()[0])  # What only the first reader costs.
        worker = pool.pids[0]
        count = QUICK_CONNECTIONS if setting.quick else CONNECTIONS
        resident, kernel = resident_bytes(worker), _kernel_bytes()
        idlers = lab.start(
            host, urgent([os.path.join(setting.tools, "idle_connections"), f"127.0.0.1:{PORT}",
                          str(count), str(BLOCK), ""]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, bufsize=0)
        wait_ready(idlers, log)
        grown = (resident_bytes(worker) - resident) / count / 1024
        kernel_grown = (_kernel_bytes() - kernel) / count / 1024
        wait = pool.cat(data.file_urls()[0])
        idlers.stdin.close()
        return [
            Row("worker's memory a connection", grown, "KiB", "<= 64", f"{count} connections"),
            Row("and the kernel's", kernel_grown, "KiB", None,
                "whole machine, both ends, coarse"),
            Row("a new reader, start to end", wait, "s", "<= 1")]
