"""Runs the real `forebay` binary: workers, client verbs, and an S3 server.

Everything lives in a directory of its own below /tmp (short, as unix socket paths are limited) and
is gone afterwards. The environment of the programs holds no FOREBAY_ and AWS_ variables but those a
test sets.
"""

import contextlib
import dataclasses
import http.client
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("FOREBAY_BINARY", str(ROOT / "build/release/src/app/forebay"))
VERSITYGW = os.environ.get("FOREBAY_VERSITYGW", str(ROOT / "build/tools/versitygw"))
START_TIMEOUT = 20  # Seconds; a start takes well below one on an idle machine.
YOUNG_S = 2.1  # A file of a mounted directory that changed later than this is not cached.


@dataclasses.dataclass
class Outcome:
    code: int
    out: bytes
    err: str


def clean_environment(home, extra=None):
    environment = {k: v for k, v in os.environ.items()
                   if not k.startswith(("FOREBAY_", "AWS_", "XDG_"))}
    environment["HOME"] = str(home)
    environment.update(extra or {})
    return environment


def wait_until(condition, what, timeout=START_TIMEOUT):
    """Polls `condition` until it is true; the only waiting that tests do."""
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout} s")
        time.sleep(0.02)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=5)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(5)
        self.sock.connect(str(self.path))


def http_get(address, path):
    """GET from "unix:PATH" or "HOST:PORT": (status, text)."""
    if address.startswith("unix:"):
        connection = UnixConnection(address[len("unix:"):])
    else:
        connection = http.client.HTTPConnection(address, timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()


def parse_metrics(text):
    """{'name{label="x"}': value}; the sum over a name's series is under the bare name."""
    metrics = {}
    for line in text.splitlines():
        match = re.fullmatch(r"([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)", line)
        if not match:
            continue
        name, labels, value = match.groups()
        metrics[name + (labels or "")] = float(value)
        if labels:
            metrics[name] = metrics.get(name, 0) + float(value)
    return metrics


class Worker:
    """A running `forebay worker`."""

    def __init__(self, process, name, http, log):
        self.process, self.name, self.http, self.log = process, name, http, log
        self.ready_line = ""

    def metrics(self):
        status, text = http_get(self.http, "/metrics")
        assert status == 200, status
        return parse_metrics(text)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, number=signal.SIGTERM):
        """The exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=START_TIMEOUT)


class ForebayTest(unittest.TestCase):
    """A directory, and whatever was started in it."""

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="fb-e2e-", dir="/tmp"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.state = self.dir / "state"

    def run_forebay(self, *arguments, env=None, stdin=None, timeout=60, cwd=None):
        done = subprocess.run([BINARY, *map(os.fsencode, map(str_or_bytes, arguments))],
                              input=stdin, capture_output=True, timeout=timeout, cwd=cwd,
                              env=clean_environment(self.dir, env))
        return Outcome(done.returncode, done.stdout, done.stderr.decode(errors="replace"))

    def start_forebay(self, *arguments, env=None, **popen):
        """A client verb in the background; killed at the end."""
        process = subprocess.Popen([BINARY, *map(str, arguments)],
                                   env=clean_environment(self.dir, env), **popen)

        def end():
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr, process.stdin):
                if stream:
                    stream.close()
        self.addCleanup(end)
        return process

    def write_members(self, members, name="members.yaml", **settings):
        """A members file of [(name, address)], with allow=[...], options={...}, blockSize=..."""
        lines = ["members:"] + [f"- {{name: {n}, address: \"{a}\"}}" for n, a in members]
        if not members:
            lines = ["members: []"]
        for key, value in settings.items():
            if isinstance(value, list):
                lines.append(f"{key}: [" + ", ".join(f'"{v}"' for v in value) + "]")
            elif isinstance(value, dict):
                pairs = ", ".join(f'{k}: "{v}"' for k, v in value.items())
                lines.append(f"{key}: {{{pairs}}}")
            else:
                lines.append(f"{key}: {value}")
        path = self.dir / name
        path.write_text("\n".join(lines) + "\n")
        return path

    def start_worker(self, name, address, members, *more, memory="64MiB", env=None, ready=True):
        log_path = self.dir / f"{name}.log"
        log = open(log_path, "ab")
        process = subprocess.Popen(
            [BINARY, "worker", "--name", name, "--address", address, "--memory", memory,
             "--members", str(members), "--state-dir", str(self.state), *map(str, more)],
            stdout=subprocess.PIPE, stderr=log, env=clean_environment(self.dir, env))
        log.close()
        worker = Worker(process, name, f"unix:{self.state}/{name}.sock", log_path)

        def end():
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(timeout=START_TIMEOUT)
                except subprocess.TimeoutExpired:
                    process.kill()
            process.wait()
            process.stdout.close()
            # What a killed worker left.
            subprocess.run(["umount", "-l", str(self.state / name / "tier")], capture_output=True)
            shutil.rmtree(f"/dev/shm/forebay-{os.geteuid()}/{name}", ignore_errors=True)
        self.addCleanup(end)
        if ready:
            worker.ready_line = process.stdout.readline().decode()
            if not worker.ready_line.startswith("ready "):
                process.wait(timeout=START_TIMEOUT)
                raise AssertionError(
                    f"{name} ended with {process.returncode}: {log_path.read_text()}")
        return worker

    def start_pool(self, count=2, memory="64MiB", env=None, **settings):
        """`count` workers on unix sockets that may read any file: (members file, workers)."""
        # The tier's place is per user and name: a name of this test alone.
        prefix = self.dir.name.removeprefix("fb-e2e-").replace("_", "-")
        names = [(f"{prefix}-{i}", f"unix:{self.dir}/w{i}") for i in range(count)]
        settings.setdefault("allow", ["file:///", "s3://bucket"])
        members = self.write_members(names, **settings)
        return members, [self.start_worker(n, a, members, memory=memory, env=env) for n, a in names]

    def make_tree(self, files):
        """Files below a new directory `data`: its path."""
        root = self.dir / "data"
        for name, content in files.items():
            path = os.fsencode(root) + b"/" + os.fsencode(name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(content)
        return root

    def old_tree(self, files):
        """make_tree(), and its files are old enough to be cached."""
        root = self.make_tree(files)
        await_old(root)
        return root

    def check(self, outcome, code, *texts):
        """The exit code, and texts that its messages hold."""
        self.assertEqual(outcome.code, code, outcome.err)
        for text in texts:
            self.assertIn(text, outcome.err)


def await_old(root):
    """Returns when all files below `root`, at least one, are old enough to be cached."""
    newest = max(os.lstat(os.path.join(where, name)).st_ctime
                 for where, _, names in os.walk(root) for name in names)
    wait_until(lambda: time.time() - newest > YOUNG_S, "files that are old enough")


def str_or_bytes(value):
    return value if isinstance(value, (str, bytes)) else str(value)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class S3Server:
    """versitygw over a directory, with one bucket `bucket`; objects are put by rclone, so that they
    have ETags."""

    KEY, SECRET = "e2e-key", "e2e-secret-e2e-secret"

    def __init__(self, test):
        if not os.access(VERSITYGW, os.X_OK):
            raise unittest.SkipTest(f"no S3 server at {VERSITYGW}; set FOREBAY_VERSITYGW")
        self.test = test
        root = test.dir / "s3"
        root.mkdir()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        process = subprocess.Popen(
            [VERSITYGW, "--port", f"127.0.0.1:{self.port}", "--keep-alive", "--quiet", "posix",
             str(root)],
            env=clean_environment(test.dir, {"ROOT_ACCESS_KEY": self.KEY,
                                             "ROOT_SECRET_KEY": self.SECRET}),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def end():
            process.kill()
            process.wait()
        test.addCleanup(end)
        self.environment = {"AWS_ACCESS_KEY_ID": self.KEY, "AWS_SECRET_ACCESS_KEY": self.SECRET,
                            "AWS_ENDPOINT_URL": self.url}

        def answers():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0
        wait_until(answers, "the S3 server")
        self.rclone("mkdir", "s3:bucket")

    def rclone(self, *arguments):
        remote = {"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": self.url,
                  "ACCESS_KEY_ID": self.KEY, "SECRET_ACCESS_KEY": self.SECRET,
                  "REGION": "us-east-1"}
        environment = {f"RCLONE_CONFIG_S3_{key}": value for key, value in remote.items()}
        subprocess.run(["rclone", *arguments], check=True, capture_output=True,
                       env=clean_environment(self.test.dir, environment))

    def put_tree(self, directory, prefix=""):
        self.rclone("copy", str(directory), f"s3:bucket/{prefix}")
