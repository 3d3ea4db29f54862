"""The two real S3 servers of the store tests, and the probe that reads from them."""

import atexit
import http.client
import json
import logging
import os
import shutil
import socket
import subprocess
import tempfile
import time

import boto3
import botocore.config

ACCESS_KEY, SECRET_KEY = "store-test", "store-test-secret"
BUCKET = "bucket-1"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """An S3 server on loopback; `folder` is where versitygw keeps its objects."""

    def __init__(self, port):
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._await()
        self.client = boto3.client(
            "s3", endpoint_url=self.url, aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY, region_name="us-east-1",
            config=botocore.config.Config(s3={"addressing_style": "path"}))
        self.client.create_bucket(Bucket=BUCKET)

    def _await(self):
        end = time.monotonic() + 30
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", "/")
                connection.getresponse().read()
                connection.close()
                return
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def put(self, key, body):
        return self.client.put_object(Bucket=BUCKET, Key=key, Body=body)["ETag"]


class Versitygw(Server):
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="store-test-")
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        port = free_port()
        self.process = subprocess.Popen(
            [os.environ["FOREBAY_VERSITYGW"], "--port", f"127.0.0.1:{port}", "--keep-alive",
             "--virtual-domain", f"s3.localhost:{port}", "posix", self.folder],
            env=dict(os.environ, ROOT_ACCESS_KEY=ACCESS_KEY, ROOT_SECRET_KEY=SECRET_KEY),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        atexit.register(self._end)
        super().__init__(port)


    def _end(self):
        self.process.kill()
        self.process.wait()


class Moto(Server):
    def __init__(self):
        import moto.server  # Slow to import; only where it is used.
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # A line a request.
        self.server = moto.server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self.server.start()
        super().__init__(self.server.get_host_and_port()[1])


_running = {}


def running(kind):
    """The one server of class `kind` in this test run."""
    if kind not in _running:
        _running[kind] = kind()
    return _running[kind]


def raw(name):
    """A name as the probe writes it: its bytes, one code point each."""
    return name.encode().decode("latin-1")


class Metrics(str):
    """The text of a registry; short when an assertion prints it."""

    def value(self, name, **labels):
        """The sum of the series of `name` that carry `labels`."""
        total = 0
        for line in self.splitlines():
            series, _, number = line.rpartition(" ")
            if series.split("{")[0] == name and all(f'{k}="{v}"' in series
                                                    for k, v in labels.items()):
                total += float(number)
        return total

    def __repr__(self):
        return "<metrics>"


def probe(endpoint, key, command, environment=None, options=None, url=None, **flags):
    """One call of the probe; its JSON, with `bytes` for a read."""
    with tempfile.NamedTemporaryFile() as out:
        arguments = [f"--{name}={value}" for name, value in flags.items()]
        arguments += [f"--option={name}={value}" for name, value in (options or {}).items()]
        if command == "read":
            arguments.append(f"--out={out.name}")
        variables = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
                     "AWS_ENDPOINT_URL": endpoint, "PATH": os.environ["PATH"]}
        variables.update(environment or {})
        done = subprocess.run([os.environ["UPSTREAM_PROBE"], url or f"s3://{BUCKET}/{key}", command,
                               *arguments], env=variables, stdout=subprocess.PIPE, timeout=90)
        if done.returncode != 0:
            raise AssertionError(f"the probe ended with {done.returncode}")
        answer = json.loads(done.stdout)
        answer["metrics"] = Metrics(answer["metrics"])
        if command == "read":
            answer["bytes"] = out.read()
        return answer


def read(endpoint, key, body, version, offset=0, length=None, **flags):
    return probe(endpoint, key, "read", version=version, size=len(body), offset=offset,
                 length=len(body) - offset if length is None else length, **flags)


def names(answer):
    """What a listing shows, directories with '/'."""
    return [entry["name"] + ("/" if entry["type"] == "dir" else "")
            for page in answer["pages"] for entry in page["entries"]]
