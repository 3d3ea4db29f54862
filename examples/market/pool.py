"""The demo's workers: ten `forebay worker` processes, each on its own host of the lab."""

import json
import os
import select
import subprocess
import time

from netlab import LabError

PORT = 7400
START_SECONDS = 20.0


class Pool:
    def __init__(self, lab, hosts, client, forebay, store):
        """`client`: the host on which `fill` and `verify` run."""
        self._lab = lab
        self._hosts = hosts
        self._client = client
        self._forebay = forebay
        self._environment = store.environment()
        self._processes = []
        self.members = os.path.join(lab.folder, "members.yaml")

    def write_members(self, store, allow, block):
        """Writes the members file that workers and clients share. JSON is YAML, too."""
        with open(self.members, "w", encoding="ascii") as file:
            json.dump({"members": [{"name": h.name, "address": f"{h.address}:{PORT}"}
                                   for h in self._hosts],
                       "blockSize": block, "allow": [allow],
                       "options": {"endpoint": store.endpoint, "region": "us-east-1",
                                   "path-style": "true"}}, file, indent=1)

    def restart(self, memory, log):
        """Stops the workers, if any, and starts them empty; returns when all are ready."""
        self.stop()
        for host in self._hosts:
            state = os.path.join(self._lab.folder, host.name)
            os.makedirs(state, exist_ok=True)
            self._processes.append(self._lab.start(
                host,
                [self._forebay, "worker", "--name", host.name, "--insecure",
                 "--address", f"{host.address}:{PORT}", "--memory", memory,
                 "--members", self.members],
                env={**self._environment, "FOREBAY_STATE_DIR": state},
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, bufsize=0))
        deadline = time.monotonic() + START_SECONDS
        for host, process in zip(self._hosts, self._processes):
            left = max(0.0, deadline - time.monotonic())
            if select.select([process.stdout], [], [], left)[0]:
                line = process.stdout.readline().decode("utf-8", "replace")
                if line.split()[:2] == ["ready", host.name]:
                    continue
                raise LabError(f"{host.name} said {line!r} instead of `ready`: see {log.name}")
            raise LabError(f"{host.name} was not ready within {START_SECONDS:.0f} s: "
                           f"see {log.name}")

    def stop(self):
        if killed := self._lab.stop(self._processes):
            raise LabError(f"{killed} workers did not end on SIGTERM and were killed")
        for process in self._processes:
            process.stdout.close()
        self._processes = []

    def check_alive(self):
        for host, process in zip(self._hosts, self._processes):
            if process.poll() is not None:
                raise LabError(f"{host.name} ended with {process.returncode} in the middle")

    def fill(self, urls):
        """Loads every block of `urls` into its home, as a preload does."""
        self._run(["bench", "fill", *urls, "--members", self.members])

    def verify(self, urls):
        """Reads `urls` through the pool and from the store, and compares."""
        self._run(["verify", *urls, "--members", self.members])

    def _run(self, arguments):
        tool = self._lab.start(self._client, [self._forebay, *arguments], env=self._environment,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        if code := tool.wait(60):
            raise LabError(f"forebay {arguments[0]} ended with {code}: its message is above")
