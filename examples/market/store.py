"""The demo's under-storage: versitygw, a real S3 server, on a host of a lab, and its upload."""

import json
import os
import secrets
import shutil
import subprocess
import time

from netlab import LabError

BUCKET = "market"
PORT = 9000
REGION = "us-east-1"
START_SECONDS = 15.0
ETAG_ATTRIBUTE = "user.etag"  # Where versitygw keeps what If-Match is compared with.


class Store:
    """Objects of BUCKET, in a folder that outlives the server."""

    def __init__(self, lab, host, binary, folder):
        self._lab = lab
        self._host = host
        self._binary = binary
        self._root = os.path.join(folder, "root")
        self._record = os.path.join(folder, "uploaded.json")
        self.endpoint = f"http://{host.address}:{PORT}"
        # Of this run alone; the server starts with it, and clients get it in their environment.
        self._keys = ("forebay-demo", secrets.token_hex(16))

    def environment(self):
        """For clients: where the store is, and who they are; nothing of the user's own stores."""
        access, secret = self._keys
        own = {name: value for name, value in os.environ.items()
               if not name.startswith(("AWS_", "RCLONE_"))}
        return {**own, "AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret,
                "AWS_REGION": REGION, "AWS_ENDPOINT_URL": self.endpoint,
                "RCLONE_CONFIG": "", "RCLONE_CONFIG_STORE_TYPE": "s3",
                "RCLONE_CONFIG_STORE_PROVIDER": "Other", "RCLONE_CONFIG_STORE_ENV_AUTH": "true",
                "RCLONE_CONFIG_STORE_REGION": REGION,
                "RCLONE_CONFIG_STORE_ENDPOINT": self.endpoint}

    def start(self, log):
        os.makedirs(self._root, exist_ok=True)
        access, secret = self._keys
        server = self._lab.start(
            self._host,
            [self._binary, "--port", f":{PORT}", "--region", REGION, "--keep-alive", "--quiet",
             "posix", self._root],
            env={**os.environ, "ROOT_ACCESS_KEY": access, "ROOT_SECRET_KEY": secret},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not self._lab.listens(self._host, PORT):
            if server.poll() is not None or time.monotonic() > deadline:
                raise LabError(f"versitygw did not start: see {log.name}")
            time.sleep(0.02)

    def holds(self, manifest):
        """Whether every object of `manifest` is there as it was uploaded, with an ETag."""
        try:
            with open(self._record, encoding="ascii") as file:
                record = json.load(file)
            return record == self._state(manifest)
        except (OSError, ValueError):
            return False

    def upload(self, manifest, files, say):
        """Puts the folder `files` into the bucket with rclone, over the host's own loopback."""
        shutil.rmtree(os.path.join(self._root, BUCKET), ignore_errors=True)
        loopback = {**self.environment(),
                    "RCLONE_CONFIG_STORE_ENDPOINT": f"http://127.0.0.1:{PORT}"}
        copy = self._lab.start(
            self._host,
            ["rclone", "copy", files, f"store:{BUCKET}", "--transfers", "16", "--s3-no-head"],
            env=loopback, stdin=subprocess.DEVNULL)
        total = sum(entry["bytes"] for entry in manifest["files"])
        while True:
            try:
                code = copy.wait(3)
                break
            except subprocess.TimeoutExpired:
                say(f"uploading {total / 1e9:.1f} GB: {self._stored_bytes() * 100 // total} %")
        if code != 0:
            raise LabError(f"rclone copy ended with {code}: its message is above")
        with open(self._record, "w", encoding="ascii") as file:
            json.dump(self._state(manifest), file)

    def read_ahead(self, names):
        """Brings objects into the page cache, so that no burst measures this machine's disk."""
        for name in names:
            with open(self._path(name), "rb") as file:
                while file.read(1 << 22):
                    pass

    def _path(self, name):
        return os.path.join(self._root, BUCKET, name)

    def _state(self, manifest):
        state = {"stamp": manifest["stamp"]}
        for entry in manifest["files"]:
            path = self._path(entry["name"])
            stat = os.stat(path)
            if stat.st_size != entry["bytes"]:
                raise OSError(f"{path}: {stat.st_size} bytes instead of {entry['bytes']}")
            etag = os.getxattr(path, ETAG_ATTRIBUTE).decode("ascii")
            state[entry["name"]] = [stat.st_mtime_ns, stat.st_ino, etag]
        return state

    def _stored_bytes(self):
        return sum(os.stat(os.path.join(folder, name)).st_size
                   for folder, _, names in os.walk(os.path.join(self._root, BUCKET))
                   for name in names)
