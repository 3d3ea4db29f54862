"""What the benches run on the hosts of a lab: workers, readers, and the raw yardstick."""

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import time

from netlab import LabError
from processes import urgent, wait_ready
from store import BUCKET

PORT = 7400
RAW_PORT = 7500
RUN_SECONDS = 300.0


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(10)
        self.sock.connect(self._path)


class Pool:
    """Workers, one a host, and the programs that read through them. Close it before the lab."""

    def __init__(self, lab, setting, hosts, reader, log, environment=None):
        """`reader`: the host on which readers run. `environment`: the store's, for all."""
        self._lab = lab
        self._setting = setting
        self._hosts = hosts
        self._reader = reader
        self._log = log
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "FOREBAY_"))},
            "FOREBAY_STATE_DIR": os.path.join(lab.folder, "client"), **(environment or {})}
        self._processes = []
        self.members = os.path.join(lab.folder, "members.yaml")

    @property
    def pids(self):
        return [p.pid for p in self._processes]

    def start(self, memory, block, options=None, address=None):
        """`address`: of all workers, in place of their hosts'."""
        addresses = [f"{address}:{PORT + i}" if address else f"{h.address}:{PORT}"
                     for i, h in enumerate(self._hosts)]
        with open(self.members, "w", encoding="ascii") as file:  # JSON is YAML, too.
            json.dump({"members": [{"name": h.name, "address": a}
                                   for h, a in zip(self._hosts, addresses)],
                       "blockSize": block, "staleness": "10m", "options": options or {},
                       "allow": [f"file://{self._lab.folder}/root/", f"s3://{BUCKET}/"]}, file)
        for host, own_address in zip(self._hosts, addresses):
            state = os.path.join(self._lab.folder, host.name)
            os.makedirs(state, exist_ok=True)
            self._processes.append(self._lab.start(
                host, urgent([self._setting.forebay, "worker", "--name", host.name, "--insecure",
                              "--quiet", "--address", own_address,
                              "--memory", str(int(memory)), "--members", self.members]),
                env={**self._environment, "FOREBAY_STATE_DIR": state},
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._log, bufsize=0))
        for process in self._processes:
            wait_ready(process, self._log)

    def stop(self):
        self._lab.stop(self._processes)
        for process in self._processes:
            process.stdout.close()
        self._processes = []

    def metric(self, name):
        """The sum of a metric over all its series and all workers."""
        total = 0.0
        for host in self._hosts:
            path = os.path.join(self._lab.folder, host.name, f"{host.name}.sock")
            with contextlib.closing(_UnixConnection(path)) as connection:
                connection.request("GET", "/metrics")
                text = connection.getresponse().read().decode()
            total += sum(float(value) for value in
                         re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE))
        return total

    def read(self, urls, processes, tasks=None, direct=False):
        """The report of `bench read`."""
        members = [] if direct else ["--members", self.members]
        report = self._report(["bench", "read", "--processes", str(processes), "--tasks",
                               str(tasks or processes), "--read-timeout", "120s", *members, *urls])
        if report["errors"]:
            raise LabError(f"bench read: {report['errors']} errors: see {self._log.name}")
        return report

    def fill(self, urls):
        """The report of `bench fill`."""
        return self._report(["bench", "fill", "--read-timeout", "120s", "--members", self.members,
                             *urls])

    def cat(self, url):
        """Seconds from the start of `forebay cat` to its end."""
        start = time.monotonic()
        self._run(["cat", "--quiet", "--members", self.members, url], subprocess.DEVNULL)
        return time.monotonic() - start

    def _report(self, arguments):
        return json.loads(self._run([*arguments, "-o", "json", "--quiet"], subprocess.PIPE))

    def _run(self, arguments, stdout):
        process = self._lab.start(self._reader, urgent([self._setting.forebay, *arguments]),
                                  env=self._environment, stdin=subprocess.DEVNULL, stdout=stdout,
                                  stderr=self._log)
        try:
            out, _ = process.communicate(timeout=RUN_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise LabError(f"forebay {arguments[0]} {arguments[1]}: not done within "
                           f"{RUN_SECONDS:.0f} s") from None
        if process.returncode != 0:
            raise LabError(f"forebay {arguments[0]} {arguments[1]} ended with "
                           f"{process.returncode}: see {self._log.name}")
        return out


class _RawServers:
    """A yardstick: as many servers as hosts, all sending one file from huge pages of memory."""

    def __init__(self, lab, setting, name, port, hosts, reader, log):
        self._lab = lab
        self._tool = os.path.join(setting.tools, name)
        self._port = port
        self._reader = reader
        self._log = log
        self._addresses = []
        self._servers = []
        self._hosts = hosts
        self._file = os.path.join(lab.folder, name, "file")

    def start(self, file_bytes, address=None):
        """`address`: of the only server, in place of its host's."""
        folder = os.path.dirname(self._file)
        os.makedirs(folder, exist_ok=True)
        # As the workers' tiers are.
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"huge=within_size,size={2 * file_bytes}",
                        "tmpfs", folder], check=True)
        with open(self._file, "wb") as file:
            file.truncate(file_bytes)
            for _ in range(0, file_bytes, 1 << 20):
                file.write(b"\x5a" * (1 << 20))
        for host in self._hosts:
            self._addresses.append(address or host.address)
            self._servers.append(self._lab.start(
                host,
                urgent([self._tool, "serve", self._addresses[-1], str(self._port), self._file]),
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._log, bufsize=0))
        for server in self._servers:
            wait_ready(server, self._log)

    @property
    def pids(self):
        return [s.pid for s in self._servers]

    def _read(self, arguments, servers):
        """The report of the tool's `read` over the first `servers` servers."""
        arguments = ["read", *(str(argument) for argument in arguments)]
        for address in self._addresses[:servers]:
            arguments += [address, str(self._port)]
        process = self._lab.start(self._reader, urgent([self._tool, *arguments]),
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
                                  bufsize=0)
        wait_ready(process, self._log)
        out, _ = process.communicate(b"\n", timeout=RUN_SECONDS)
        if process.returncode != 0:
            raise LabError(f"{self._tool} ended with {process.returncode}: see {self._log.name}")
        return json.loads(out)


class RawPairing(_RawServers):
    """raw_pairing: one stream of bytes a connection."""

    def __init__(self, lab, setting, hosts, reader, log):
        super().__init__(lab, setting, "raw_pairing", RAW_PORT, hosts, reader, log)

    def read(self, connections, bytes_each, servers=None):
        return self._read([connections, bytes_each], servers)


class RawRequests(_RawServers):
    """raw_requests: block after block, each asked for."""

    BLOCK_BYTES = 64 << 10

    def __init__(self, lab, setting, hosts, reader, log):
        super().__init__(lab, setting, "raw_requests", RAW_PORT + 1, hosts, reader, log)

    def read(self, mode, processes, bytes_each, window):
        return self._read([mode, processes, bytes_each // self.BLOCK_BYTES, window], None)
