"""An S3 endpoint with one object, whose bytes can be made to hang or fail."""

import hashlib
import http.server
import re
import threading
import urllib.parse


class HangingStore:
    """`mode`: "serve", "hang" (GETs of the object wait until released), "hang all" (other requests
    wait, too) or "fail" (GETs of the object are 500)."""

    def __init__(self, test, key, content):
        self.key, self.content, self.mode = key, content, "serve"
        self.released = threading.Event()
        self.waiting = threading.Semaphore(0)  # Released once for every request that hangs.
        store = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_HEAD(self):
                store.wait_if("hang all")
                store.head(self)

            def do_GET(self):
                store.get(self)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # Readers that were killed hang up.
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        test.addCleanup(self.server.server_close)
        test.addCleanup(self.server.shutdown)
        test.addCleanup(self.released.set)
        self.environment = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
                            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}"}

    @property
    def etag(self):
        return f'"{hashlib.md5(self.content).hexdigest()}"'

    def reply(self, handler, status, body=b"", headers=None, length=None):
        handler.send_response(status)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        if handler.command == "GET":
            handler.wfile.write(body)

    def object_headers(self):
        return {"ETag": self.etag, "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}

    def wait_if(self, *modes):
        if self.mode in modes:
            self.waiting.release()
            self.released.wait()

    def head(self, handler):
        if handler.path.split("?")[0] == f"/bucket/{self.key}":
            self.reply(handler, 200, headers=self.object_headers(), length=len(self.content))
        else:
            self.reply(handler, 404)

    def get(self, handler):
        path, _, query = handler.path.partition("?")
        if "list-type" in query:
            self.wait_if("hang all")
            self.list(handler, query)
        elif path != f"/bucket/{self.key}":
            self.reply(handler, 404)
        elif self.mode == "fail":
            self.reply(handler, 500)
        else:
            self.wait_if("hang", "hang all")
            self.serve(handler)

    def serve(self, handler):
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", handler.headers.get("Range", ""))
        if not asked:
            self.reply(handler, 200, self.content, self.object_headers())
            return
        begin, end = int(asked.group(1)), min(int(asked.group(2)), len(self.content) - 1)
        where = {"Content-Range": f"bytes {begin}-{end}/{len(self.content)}"}
        self.reply(handler, 206, self.content[begin:end + 1], self.object_headers() | where)

    def list(self, handler, query):
        prefix = re.search(r"prefix=([^&]*)", query)
        item = ""
        wanted = urllib.parse.unquote(prefix.group(1)) if prefix else ""
        if self.key.startswith(wanted) and "delimiter" in query and "/" in self.key[len(wanted):]:
            item = (f"<CommonPrefixes><Prefix>{self.key.split('/')[0]}/</Prefix>"
                    "</CommonPrefixes>")
        elif self.key.startswith(wanted):
            item = (f"<Contents><Key>{self.key}</Key><ETag>{self.etag}</ETag>"
                    f"<Size>{len(self.content)}</Size>"
                    "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>")
        body = ('<?xml version="1.0"?><ListBucketResult><Name>bucket</Name>'
                f"<IsTruncated>false</IsTruncated>{item}</ListBucketResult>").encode()
        self.reply(handler, 200, body, {"Content-Type": "application/xml"})
