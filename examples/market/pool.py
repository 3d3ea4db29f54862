"""The demo's cache group: control and ten `forebay worker` processes, each on its own host."""

import json
import math
import os
import select
import subprocess

from netlab import LabError
from store import BUCKET, REGION

DATASET = "prices"
CONTROL_PORT = 7300
WORKER_PORT = 7400
START_SECONDS = 20.0
VERB_SECONDS = 60.0


class Pool:
    """What is asked of the group goes through the verbs of the command line, as a user's would."""

    def __init__(self, lab, control, workers, client, forebay, store):
        """`control`, `workers`: hosts of these processes; `client`: the host that verbs run on."""
        self._lab = lab
        self._control = control
        self._workers = workers
        self._client = client
        self._forebay = forebay
        self._store = store
        # The store's credentials: never on a command line, and not handed out over TCP either.
        self._environment = {name: value for name, value in store.environment().items()
                             if not name.startswith("FOREBAY_")}
        self._processes = {}
        self.control = f"http://{control.address}:{CONTROL_PORT}"

    def start(self, memory, block, log):
        """Starts control, then the workers; returns when all are ready."""
        self._start(self._control,
                    ["up", "--workers", "0", "--listen", f"{self._control.address}:{CONTROL_PORT}",
                     "--insecure", "--block-size-max", block], log)
        self._await_ready(self._control, log)
        for host in self._workers:
            self._start(host,
                        ["worker", "--name", host.name, "--control", self.control, "--insecure",
                         "--address", f"{host.address}:{WORKER_PORT}", "--memory", memory,
                         "--block-size-max", block], log)
        for host in self._workers:
            self._await_ready(host, log)

    def renew(self, block):
        """Empties all workers, and makes the dataset anew: nothing is left of an earlier burst, not
        even what workers know about names and readers. Returns when it has been listed."""
        if self._verb("datasets", "-o", "name"):
            self._verb("evict", DATASET)
            self._verb("dataset", "delete", DATASET)
        self._verb("dataset", "create", DATASET, "--mount", f"s3://{BUCKET}", "--block-size", block,
                   "--option", f"endpoint={self._store.endpoint}", "--option", f"region={REGION}",
                   "--option", "path-style=true")
        self._verb("wait", DATASET, "--workers", str(len(self._workers)), "--cached", "0")

    def load(self, names, ratio):
        """Loads the files, which are `ratio` of the dataset, and waits until they are counted."""
        self._verb("load", DATASET, *(f"/{name}" for name in names))
        self._verb("wait", DATASET, "--cached", f"{math.floor(ratio * 1e6) / 1e6:.6f}")

    def verify(self, urls):
        """Reads `urls` through the pool and from the store, and compares."""
        self._verb("verify", *urls)

    def status(self):
        """`forebay status`, for people, without the list of all loads of this run."""
        return self._verb("status").partition("\n\nLOAD ")[0] + "\n"

    def evict(self):
        """Evicts the dataset; raises LabError if status shows a byte of it afterwards."""
        self._verb("evict", DATASET)
        self._verb("wait", DATASET, "--cached", "0")
        [dataset] = json.loads(self._verb("status", DATASET, "-o", "json"))["datasets"]
        if dataset["cachedBytes"] != 0:
            raise LabError(f"{dataset['cachedBytes']} bytes are cached after `forebay evict`")

    def stop(self):
        """Workers first, so that each can tell control that it leaves."""
        control = self._processes.pop(self._control.name)
        killed = self._lab.stop(list(self._processes.values())) + self._lab.stop([control])
        for process in (control, *self._processes.values()):
            process.stdout.close()
        self._processes = {}
        if killed:
            raise LabError(f"{killed} processes did not end on SIGTERM and were killed")

    def check_alive(self):
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise LabError(f"{name} ended with {process.returncode} in the middle")

    def _start(self, host, arguments, log):
        state = os.path.join(self._lab.folder, host.name)
        os.makedirs(state, exist_ok=True)
        self._processes[host.name] = self._lab.start(
            host, [self._forebay, *arguments, "--state-dir", state], env=self._environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, bufsize=0)

    def _await_ready(self, host, log):
        process = self._processes[host.name]
        if not select.select([process.stdout], [], [], START_SECONDS)[0]:
            raise LabError(f"{host.name} was not ready within {START_SECONDS:.0f} s: "
                           f"see {log.name}")
        line = process.stdout.readline().decode("utf-8", "replace")
        if not line.startswith("ready "):
            raise LabError(f"{host.name} said {line!r} instead of `ready`: see {log.name}")

    def _verb(self, *arguments):
        """Runs a verb to its end; returns what it printed. Its messages go to our stderr."""
        verb = self._lab.start(
            self._client, [self._forebay, *arguments, "--control", self.control, "--quiet"],
            env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        try:
            printed, _ = verb.communicate(timeout=VERB_SECONDS)
        except subprocess.TimeoutExpired:
            raise LabError(f"forebay {arguments[0]} took longer than {VERB_SECONDS:.0f} s")
        if verb.returncode:
            raise LabError(f"forebay {arguments[0]} ended with {verb.returncode}: its message is "
                           "above")
        return printed.decode("utf-8")
