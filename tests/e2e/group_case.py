"""What the tests of a group share: `up` on a state directory of its own, and its API."""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import subprocess

import harness

# Figures are right within 2 s. What a busy machine may add: 0 holds the group to its promise.
PROMPT_S = 2.0 + float(os.environ.get("FOREBAY_TEST_SLACK", 8))


class Api:
    """Control's HTTP API on its unix socket."""

    def __init__(self, path):
        self.path = path

    def ask(self, method, target, body=None, timeout=70):
        """(status, JSON or text)."""
        connection = harness.UnixConnection(self.path)
        connection.timeout = timeout
        with contextlib.closing(connection):
            connection.connect()
            connection.sock.settimeout(timeout)
            payload = None if body is None else json.dumps(body)
            connection.request(method, target, payload, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read().decode()
            if "json" in (response.getheader("Content-Type") or ""):
                return response.status, json.loads(text)
            return response.status, text

    def get(self, target, **more):
        return self.ask("GET", target, **more)

    def post(self, target, body=None, **more):
        return self.ask("POST", target, body or {}, **more)


def runs(pid):
    """Whether the process is there and not only waits to be reaped by whoever it was left to."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return text.rsplit(")")[-1].split()[0] != "Z"


class GroupTest(harness.ForebayTest):
    """`up` in the foreground of a process of the test, so that it can be killed and awaited."""

    def setUp(self):
        super().setUp()
        self.addCleanup(self.clean_up_group)
        self.control = None
        self.api = Api(self.state / "control.sock")

    def clean_up_group(self):
        """Whatever a test left: processes by their records, then mounts and memory."""
        for record in self.state.glob("workers/*.pid"):
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(record.read_text().split()[0]), signal.SIGKILL)
        for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
            where = line.split()[1]
            if where.startswith(f"{self.dir}/"):
                subprocess.run(["umount", "-l", where], check=True)

    def up(self, workers=2, *more, memory="64MiB", env=None, ready=True):
        log_path = self.dir / "control.log"
        log = open(log_path, "ab")
        process = subprocess.Popen(
            [harness.BINARY, "up", "--state-dir", str(self.state), "--workers", str(workers),
             "--memory-per-worker", memory, *map(str, more)],
            stdout=subprocess.PIPE, stderr=log, env=harness.clean_environment(self.dir, env))
        log.close()

        def end():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
                try:
                    process.wait(timeout=harness.START_TIMEOUT)
                except subprocess.TimeoutExpired:
                    process.kill()
            process.wait()
            process.stdout.close()
        self.addCleanup(end)
        self.control = process
        if ready:
            line = process.stdout.readline().decode()
            if not line.startswith("ready "):
                process.wait(timeout=harness.START_TIMEOUT)
                raise AssertionError(f"up ended with {process.returncode}: "
                                     f"{log_path.read_text()}")
        return process

    def kill_control(self):
        self.control.kill()
        self.control.wait()

    def forebay(self, *arguments, **more):
        return self.run_forebay(*arguments, "--state-dir", self.state, **more)

    def ok(self, *arguments, **more):
        """Standard output of a verb that must succeed."""
        outcome = self.forebay(*arguments, **more)
        self.assertEqual(outcome.code, 0, f"{arguments}: {outcome.err}")
        return outcome.out

    def status(self):
        return json.loads(self.ok("status", "-o", "json"))

    def dataset(self, name):
        found = [d for d in self.status()["datasets"] if d["name"] == name]
        self.assertEqual(len(found), 1)
        return found[0]

    def workers(self):
        return {worker["name"]: worker for worker in self.status()["workers"]}

    def await_status(self, condition, what, timeout=PROMPT_S):
        """Polls the status until `condition(status)`; returns that status."""
        def holds():
            try:
                status = self.api.get("/v1/status")[1]
            except ConnectionError:
                return None  # Control is being started.
            return status if condition(status) else None
        return harness.wait_until(holds, what, timeout)

    def await_ratio(self, name, ratio, timeout=20):
        def holds(status):
            return any(d["name"] == name and d["cachedRatio"] is not None
                       and abs(d["cachedRatio"] - ratio) < 1e-9 for d in status["datasets"])
        return self.await_status(holds, f"{name} at {ratio}", timeout)

    def create(self, name, root, *more):
        return self.ok("dataset", "create", name, "--mount", f"file://{root}", *more)

    def metrics(self):
        return harness.parse_metrics(self.ok("metrics").decode())

    def upstream_bytes(self, name):
        """Bytes that the group's workers read from the store for a dataset."""
        return self.dataset(name)["upstream"]["bytes"]


def content(size, seed=1):
    """`size` bytes that differ everywhere."""
    block = bytes((i * 131 + seed * 17) % 251 for i in range(4096))
    return (block * (size // len(block) + 1))[:size]
