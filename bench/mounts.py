"""File systems to be measured side by side, and what reads them: our mounts, others', raw loops."""

import json
import os
import re
import shutil
import subprocess
import time

from netlab import LabError
from processes import urgent, wait_ready
from store import BUCKET, REGION

READ_AHEAD_KIB = 4096  # What our mounts set for themselves, for all.
START_SECONDS = 30.0
READ_SECONDS = 300.0


class Mounted:
    """A file system that a process of the lab serves."""

    def __init__(self, at, process):
        self.at = at
        self._process = process

    def _processes(self):
        """The pids of what serves it."""
        pids = [self._process.pid]
        for pid in pids:
            try:
                with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
                    pids += [int(child) for child in file.read().split()]
            except OSError:
                continue  # It has ended.
        return pids

    def resident_mib(self):
        """Proportional set size of its processes, without the near worker's files."""
        total = 0
        for pid in self._processes():
            try:
                with open(f"/proc/{pid}/smaps", encoding="utf-8") as file:
                    maps = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", file.read(), flags=re.MULTILINE)
            except OSError:
                continue
            for one in maps:
                pss = re.search(r"^Pss:\s+(\d+) kB$", one, re.MULTILINE)
                if pss and "/tier/" not in one.split("\n", 1)[0]:
                    total += int(pss.group(1))
        return total / 1024

    def read_bytes(self):
        """Bytes that a mount of ours gave the kernel, and how many of them came from near."""
        with open(f"{self.at}/.forebay/stats", encoding="utf-8") as file:
            text = file.read()
        return [int(re.search(rf"^{re.escape(name)} (\d+)$", text, re.MULTILINE).group(1))
                for name in ("forebay_mount_read_bytes_total",
                             'forebay_mount_source_bytes_total{source="local"}')]


class Mounts:
    """Mounts beneath a lab's folder, on one of its hosts."""

    def __init__(self, lab, setting, host, log, environment):
        """`environment`: the store's."""
        self._lab = lab
        self._setting = setting
        self._host = host
        self._log = log
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "FOREBAY_"))},
            **environment}

    def _start(self, name, command, environment=None):
        at = self._place(name)
        process = self._lab.start(
            self._host, urgent([word.replace("{at}", at) for word in command]),
            env={**self._environment, **(environment or {})}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=self._log, bufsize=0)
        return Mounted(at, process), process

    def _place(self, name):
        at = os.path.join(self._lab.folder, "mounts", name)
        os.makedirs(at)
        return at

    def native(self, size):
        """Memory as the kernel itself serves it, in huge pages as a tier's."""
        at = self._place("native")
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"huge=within_size,size={size}", "tmpfs", at],
                       check=True)
        return at

    def forebay(self, name, url, members, *flags):
        state = os.path.join(self._lab.folder, "state", name)
        os.makedirs(state)
        mounted, process = self._start(
            name, [self._setting.forebay, "mount", url, "{at}", "--foreground", "--quiet",
                   "--members", members, *flags], {"FOREBAY_STATE_DIR": state})
        wait_ready(process, self._log, "mounted")
        return mounted

    def raw(self, name, folder, *options):
        """The raw loop, with the kernel's choices as our mounts make them."""
        mounted, process = self._start(
            name, [os.path.join(self._setting.tools, "raw_fuse"), "{at}", folder, "keep-cache",
                   "ttl=600", f"read-ahead={READ_AHEAD_KIB}", *options])
        wait_ready(process, self._log)
        return mounted

    def rclone(self, server):
        """rclone mount. Tuned: whole files are kept in memory (--vfs-cache-mode full on tmpfs),
        names and attributes for the whole run, no checks of times and sums, read-ahead as ours."""
        return self._other("rclone", [
            "rclone", "mount", f":s3:{BUCKET}", "{at}", "--read-only", "--allow-other",
            "--s3-provider", "Other", "--s3-env-auth", "--s3-endpoint", server.endpoint,
            "--s3-region", REGION, "--s3-force-path-style", "--s3-no-check-bucket",
            "--vfs-cache-mode", "full", "--cache-dir", self._cache("rclone"),
            "--vfs-cache-max-age", "24h", "--vfs-cache-poll-interval", "24h",
            "--vfs-fast-fingerprint", "--vfs-read-ahead", "64M", "--buffer-size", "16M",
            "--dir-cache-time", "24h", "--attr-timeout", "10m", "--poll-interval", "0",
            "--no-modtime", "--no-checksum", "--max-read-ahead", f"{READ_AHEAD_KIB}Ki"])

    def s3fs(self, server):
        """s3fs. Tuned: whole files are kept in memory (use_cache on tmpfs), the kernel keeps pages,
        names and attributes, as many connections as it likes, read-ahead as ours."""
        return self._other("s3fs", [
            "s3fs", BUCKET, "{at}", "-f", "-o", ",".join([
                "ro", "allow_other", f"url={server.endpoint}", f"endpoint={REGION}",
                "use_path_request_style", f"use_cache={self._cache('s3fs')}", "kernel_cache",
                "entry_timeout=600", "attr_timeout=600", "max_stat_cache_size=300000",
                "stat_cache_expire=86400", "enable_noobj_cache", "parallel_count=16",
                "multireq_max=64", "umask=0022", "max_read=1048576"])])

    def _cache(self, name):
        folder = os.path.join(self._lab.folder, "cache", name)
        os.makedirs(folder)
        return folder

    def _other(self, name, command):
        mounted, process = self._start(name, command, {
            "RCLONE_CONFIG": os.path.join(self._lab.folder, "rclone.conf"),
            "AWSACCESSKEYID": self._environment["AWS_ACCESS_KEY_ID"],
            "AWSSECRETACCESSKEY": self._environment["AWS_SECRET_ACCESS_KEY"]})
        process.stdout.close()
        deadline = time.monotonic() + START_SECONDS
        while not os.path.ismount(mounted.at):
            if process.poll() is not None or time.monotonic() > deadline:
                raise LabError(f"{name} did not mount: see {self._log.name}")
            time.sleep(0.05)
        device = os.stat(mounted.at).st_dev
        with open(f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb", "w",
                  encoding="ascii") as file:
            file.write(str(READ_AHEAD_KIB))
        return mounted


class Reader:
    """What reads them."""

    def __init__(self, lab, setting, host, log):
        self._lab = lab
        self._tool = os.path.join(setting.tools, "file_reader")
        self._host = host
        self._log = log

    def read(self, how, path, options=(), meanwhile=None):
        """The report of file_reader; calls `meanwhile` again and again until it is there."""
        return self._report([self._tool, how, path, *options], meanwhile)

    def fio(self, path, rw, block, *options):
        """GB/s of fio, or None without it."""
        if shutil.which("fio") is None:
            return None
        # A thread, as its processes leave the session, and with it what `urgent` asked for.
        report = self._report(["fio", "--name=fio", "--thread", f"--filename={path}", f"--rw={rw}",
                               f"--bs={block}", "--readonly", "--output-format=json", *options])
        return report["jobs"][0]["read"]["bw_bytes"] / 1e9

    def _report(self, command, meanwhile=None):
        process = self._lab.start(self._host, urgent(command), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=self._log)
        deadline = time.monotonic() + READ_SECONDS
        while meanwhile and process.poll() is None and time.monotonic() < deadline:
            meanwhile()
        try:
            out, _ = process.communicate(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            raise LabError(f"{' '.join(command)}: not done within {READ_SECONDS:.0f} s") from None
        if process.returncode != 0:
            raise LabError(f"{' '.join(command)} ended with {process.returncode}: see "
                           f"{self._log.name}")
        return json.loads(out)
