"""A control that answers what a test tells it to, over a unix socket: for what the command line
says and how it ends. The real one is tested in the tests of the group."""

import http.server
import json
import os
import socketserver
import threading
import urllib.parse


class FakeControl:
    """`answers` maps "METHOD /path" to a body, to (status, body), or to a function of the request's
    (query, body) to one of these; what is not there is a problem with status 404. `requests` is
    what was asked: (method, path, query, body)."""

    def __init__(self, test, path=None, answers=None):
        self.answers = dict(answers or {})
        self.requests = []
        self.lock = threading.Lock()
        self.path = path or test.state / "control.sock"
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        control = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def address_string(self):
                return "unix"

            def answer(self):
                url = urllib.parse.urlsplit(self.path)
                query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
                length = int(self.headers.get("Content-Length") or 0)
                text = self.rfile.read(length)
                body = json.loads(text) if text else None
                path = urllib.parse.unquote(url.path)
                with control.lock:
                    control.requests.append((self.command, path, query, body))
                status, reply = control.reply(self.command, path, query, body)
                data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = do_PUT = answer

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # A client that was interrupted closes in the middle of an answer.

        self.server = Server(str(self.path), Handler)
        thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()

        def end():
            self.server.shutdown()
            thread.join()
            self.server.server_close()
        test.addCleanup(end)

    def reply(self, method, path, query, body):
        answer = self.answers.get(f"{method} {path}")
        if callable(answer):
            answer = answer(query, body)
        if answer is None:
            return 404, problem(f"{path}: not there")[1]
        return answer if isinstance(answer, tuple) else (200, answer)

    def asked(self, method, path):
        """(query, body) of the requests of that kind."""
        with self.lock:
            return [(q, b) for m, p, q, b in self.requests if (m, p) == (method, path)]


def problem(detail, status=404):
    return status, {"type": "about:blank", "title": "Problem", "status": status, "detail": detail}


def dataset(name="prices", **more):
    entry = {"name": name, "namespace": "default", "group": "default", "phase": "Bound",
             "files": 1200, "totalBytes": 3 << 30, "cachedBytes": 1 << 30, "cachedRatio": 0.33333,
             "hitRatio": None, "staleness": "60s",
             "mounts": [{"path": "/", "url": "s3://bucket/prices"}],
             "upstream": {"requests": 37, "bytes": 123456, "errors": 0}, "conditions": []}
    return {**entry, **more}


def load(load_id="7f3a", phase="Running", done=1, total=4, **more):
    entry = {"id": load_id, "dataset": "prices", "phase": phase, "doneBytes": done << 20,
             "totalBytes": total << 20, "doneFiles": done, "totalFiles": total, "missing": 0,
             "startedAt": "2026-01-01T00:00:00Z", "finishedAt": None, "paths": [], "replicas": 1,
             "throttleBytesPerSecond": 0, "bytesPerSecond": 1 << 20, "etaSeconds": 3, "reason": "",
             "missingFiles": []}
    return {**entry, **more}


def status(datasets=(), loads=()):
    return {"version": "0.1.0",
            "groups": [{"name": "default", "namespace": "default", "desired": 2, "ready": 1,
                        "epoch": (1 << 32) + 7, "capacityBytes": 2 << 30, "usedBytes": 1 << 20,
                        "encryption": "none", "reason": "2 because `up --workers 2`"}],
            "workers": [{"name": "default-0", "group": "default", "role": "ring", "pid": 4242,
                         "state": "Ready", "address": "unix:/x/default-0", "capacityBytes": 1 << 30,
                         "usedBytes": 1 << 20, "blocks": 3, "startedAt": "2026-01-01T00:00:00Z"}],
            "datasets": list(datasets), "loads": list(loads)}
