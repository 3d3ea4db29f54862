"""What the benches read: many names for few bytes, in a folder or behind a real S3 server."""

import hashlib
import os
import random
import secrets
import subprocess
import time

from netlab import LabError
from processes import urgent

BUCKET = "bench"
PORT = 9000
REGION = "us-east-1"
START_SECONDS = 15.0
YOUNG_SECONDS = 2.5  # src/upstream/posix.cc, and some.


class DataSet:
    """`count` files of `size` bytes, hard links to one: the names differ, and so the blocks do.

    The bytes are random, repeated every MiB, with the number of the MiB at its start.
    """

    def __init__(self, lab, count, size, name="data"):
        self.root = os.path.join(lab.folder, "root")
        folder = os.path.join(self.root, BUCKET, name)
        os.makedirs(folder)
        self.names = [f"{name}/{i:05}.bin" for i in range(count)]
        self.bytes = count * size
        first = os.path.join(self.root, BUCKET, self.names[0])
        chunk = bytearray(random.Random(1).randbytes(min(size, 1 << 20)))
        digest = hashlib.md5(usedforsecurity=False)
        with open(first, "wb") as file:
            for at in range(0, size, len(chunk)):
                chunk[:8] = at.to_bytes(8, "little")
                part = chunk[:size - at]
                file.write(part)
                digest.update(part)
        # Where versitygw keeps what it shows as ETag; so nothing need be uploaded.
        os.setxattr(first, "user.etag", f'"{digest.hexdigest()}"'.encode())
        for other in self.names[1:]:
            os.link(first, os.path.join(self.root, BUCKET, other))

        self._made = time.monotonic()

    def settle(self):
        """Waits until workers cache what they read as file://: no file that changed just now,
        since its next change might leave its times as they are."""
        time.sleep(max(0.0, self._made + YOUNG_SECONDS - time.monotonic()))

    def file_urls(self):
        return [f"file://{self.root}/{BUCKET}/{name}" for name in self.names]

    def s3_urls(self):
        return [f"s3://{BUCKET}/{name}" for name in self.names]


class S3Server:
    """versitygw over the folder of the data sets, on a host of the lab."""

    def __init__(self, lab, setting, host, root, log, address=None):
        """`address`: in place of the host's."""
        self._keys = ("forebay-bench", secrets.token_hex(16))  # Of this run alone.
        self.address = f"{address or host.address}:{PORT}"
        self.endpoint = f"http://{self.address}"
        access, secret = self._keys
        self._requests = os.path.join(lab.folder, f"{host.name}-requests.log")
        server = lab.start(
            host, urgent([setting.versitygw, "--port", f":{PORT}", "--region", REGION,
                          "--keep-alive", "--quiet", "--access-log", self._requests,
                          "posix", root]),
            env={**os.environ, "ROOT_ACCESS_KEY": access, "ROOT_SECRET_KEY": secret},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not lab.listens(host, PORT):
            if server.poll() is not None or time.monotonic() > deadline:
                raise LabError(f"versitygw did not start: see {log.name}")
            time.sleep(0.02)

    def environment(self, endpoint=None):
        access, secret = self._keys
        return {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret,
                "AWS_REGION": REGION, "AWS_ENDPOINT_URL": endpoint or self.endpoint}

    def options(self, endpoint=None):
        """For a members file."""
        return {"endpoint": endpoint or self.endpoint, "region": REGION, "path-style": "true"}

    def requests(self, operation):
        """How many requests of a kind, like s3_GetObject, the server's access log holds."""
        with open(self._requests, encoding="utf-8") as file:
            return sum(f" {operation} " in line for line in file)
