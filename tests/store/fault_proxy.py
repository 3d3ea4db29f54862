"""A proxy in front of a real S3 server that lies and fails on command.

    with FaultProxy("127.0.0.1", 9000) as proxy:          # the real server's host and port
        proxy.set(Fault("status", status=503), times=2)   # for the next two matching requests
        ...                                               # use proxy.url as the endpoint
        assert proxy.count("GET") == 3

The Host header reaches the server as the client sent it, so signatures stay valid. Every request is
forwarded on a connection of its own; the client's connection is kept alive as far as the fault
allows. From another process: `fault_proxy.py --upstream HOST:PORT [--port N] [--control-port N]`
prints its two ports, and the control port answers

    GET /set?kind=status&status=503&times=2[&method=GET][&match=TEXT]     GET /clear     GET /log

Kinds (`Fault.kind`), with the fields they use:
    status            answer `status` (503) without asking the server; `retry_after` as that header;
                      `body` as the body (an S3 error by default)
    delay             wait `seconds`, then serve truly
    hang              never answer; hold the connection for `seconds`
    refuse            close the connection before any answer
    reset             send `bytes` of the body, then RST
    short             send `bytes` of the body, then close orderly, Content-Length as if whole
    wrong_range       serve the range `shift` bytes further on, with their Content-Range
    wrong_bytes_range serve other bytes under the Content-Range that was asked for, and a length
                      off by `shift`
    ignore_range      200 and the whole object for a range
    etag              replace the ETag by `text`; drop it if empty
    drop_header       drop header `text`
    content_length    promise `shift` bytes more than are sent (less if negative), then close
    html              200 (or `status`) and a web page
    endless           a body without end, chunked, under the true head (or, for a listing, XML)
    long              the true body and `bytes` more of it, without Content-Length
    bomb              200 and XML with exponential entities
    body              200 and `body`
"""

import argparse
import dataclasses
import http.client
import http.server
import json
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse

S3_ERROR = "<Error><Code>{}</Code><Message>by the fault proxy</Message></Error>"
ERROR_CODES = {403: "AccessDenied", 404: "NoSuchKey", 429: "SlowDown", 500: "InternalError",
               503: "SlowDown"}
BOMB = ('<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaaaaaaaa">' +
        "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 16}">' for i in range(8)) +
        ']><ListBucketResult><Name>&i;</Name></ListBucketResult>')
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclasses.dataclass
class Fault:
    """One misbehaviour; see the module's text for the kinds and their fields."""
    kind: str
    status: int = 503
    retry_after: str = ""
    seconds: float = 1.0
    bytes: int = 0
    shift: int = 1
    text: str = ""
    body: str = ""
    method: str = ""  # Only requests with this method; "LIST" is a GET with list-type.
    match: str = ""   # Only requests whose target holds this text.
    times: int = -1   # How many more requests it applies to; -1: all.

    def applies(self, method, target):
        return (self.times != 0 and self.method in ("", method) and self.match in target)


@dataclasses.dataclass
class Logged:
    """One request as the proxy saw it."""
    method: str
    target: str
    range: str
    if_match: str
    fault: str
    at: float


class FaultProxy:
    """Thread safe. A context manager; start() and stop() do the same by hand."""

    def __init__(self, host, port, listen_port=0, certificate=None):
        """`certificate`: (PEM file, key file) to speak TLS to clients."""
        self.upstream = (host, port)
        self.connections = 0  # Accepted so far.
        self._lock = threading.Lock()
        self._faults = []
        self._log = []
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = _Server(("127.0.0.1", listen_port), Handler)
        self.port = self._server.server_address[1]
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever,
                                        kwargs={"poll_interval": 0.05}, daemon=True)

    def start(self):
        self._thread.start()
        return self

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    __enter__ = start

    def __exit__(self, *_):
        self.stop()

    def set(self, fault, times=None):
        """Adds a fault; the first one that applies to a request wins. Clears the log."""
        if times is not None:
            fault.times = times
        with self._lock:
            self._faults.append(fault)
            self._log.clear()

    def clear(self):
        with self._lock:
            self._faults.clear()
            self._log.clear()

    def log(self):
        with self._lock:
            return list(self._log)

    def count(self, method=None, match=""):
        return sum(1 for entry in self.log()
                   if method in (None, entry.method) and match in entry.target)

    def _take(self, method, target, headers):
        with self._lock:
            chosen = next((f for f in self._faults if f.applies(method, target)), None)
            if chosen and chosen.times > 0:
                chosen.times -= 1
            self._log.append(Logged(method, target, headers.get("Range", ""),
                                    headers.get("If-Match", ""), chosen.kind if chosen else "",
                                    time.monotonic()))
            return dataclasses.replace(chosen) if chosen else None


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, request, client_address):
        """A client that hangs up on a lie is what the proxy is for."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    owner = None

    def setup(self):
        super().setup()
        with self.owner._lock:
            self.owner.connections += 1

    def log_message(self, *_):
        pass

    def do_GET(self):
        method = "LIST" if "list-type=" in self.path else self.command
        fault = self.owner._take(method, self.path, self.headers)
        getattr(self, f"_{fault.kind}" if fault else "_true")(fault)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

    # What the server says.

    def _fetch(self, headers=None):
        """The server's answer to this request: status, header pairs, body."""
        length = int(self.headers.get("Content-Length") or 0)
        payload = self.rfile.read(length) if length else None
        connection = http.client.HTTPConnection(*self.owner.upstream, timeout=60)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in (headers or self.headers).items():
            if name.lower() not in ("connection", "expect"):
                connection.putheader(name, value)
        connection.endheaders(payload)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, answer.getheaders(), body

    # How the proxy answers.

    def _answer(self, status, headers, body, length=None, close=False):
        """Sends a head that promises `length` bytes (None: those of `body`) and then `body`."""
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        promised = len(body) if length is None else length
        if self.command == "HEAD":
            promised = next((v for n, v in headers if n.lower() == "content-length"), promised)
        if length != -1:
            self.send_header("Content-Length", str(promised))
        if close:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def _true(self, _):
        self._answer(*self._fetch())

    def _status(self, fault):
        body = fault.body or S3_ERROR.format(ERROR_CODES.get(fault.status, "InternalError"))
        headers = [("Content-Type", "application/xml")]
        if fault.retry_after:
            headers.append(("Retry-After", fault.retry_after))
        self._answer(fault.status, headers, body.encode())

    def _delay(self, fault):
        time.sleep(fault.seconds)
        self._true(fault)

    def _hang(self, fault):
        time.sleep(fault.seconds)
        self.close_connection = True

    def _refuse(self, _):
        self.close_connection = True

    def _reset(self, fault):
        status, headers, body = self._fetch()
        self._answer(status, headers, body[:fault.bytes], length=len(body), close=True)
        # Linger 0: close sends RST instead of FIN.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.connection.close()

    def _short(self, fault):
        status, headers, body = self._fetch()
        self._answer(status, headers, body[:fault.bytes], length=len(body), close=True)

    def _range(self):
        first, last = self.headers["Range"].removeprefix("bytes=").split("-")
        return int(first), int(last)

    def _whole(self):
        """The whole object, by leaving Range out: it is not among the signed headers."""
        headers = {n: v for n, v in self.headers.items() if n.lower() != "range"}
        return self._fetch(headers)

    def _wrong_range(self, fault):
        status, headers, body = self._whole()
        if "Range" not in self.headers or status != 200:
            return self._answer(status, headers, body)
        first, last = (n + fault.shift for n in self._range())
        headers.append(("Content-Range", f"bytes {first}-{last}/{len(body)}"))
        return self._answer(206, headers, body[first:last + 1])

    def _wrong_bytes_range(self, fault):
        status, headers, body = self._fetch()
        self._answer(status, headers, (body + body)[fault.shift:len(body) + 2 * fault.shift])

    def _ignore_range(self, _):
        self._answer(*self._whole())

    def _etag(self, fault):
        status, headers, body = self._fetch()
        headers = [(n, v) for n, v in headers if n.lower() != "etag"]
        if fault.text:
            headers.append(("ETag", fault.text))
        self._answer(status, headers, body)

    def _drop_header(self, fault):
        status, headers, body = self._fetch()
        self._answer(status, [(n, v) for n, v in headers if n.lower() != fault.text.lower()], body,
                     length=-1 if fault.text.lower() == "content-length" else None,
                     close=fault.text.lower() == "content-length")

    def _content_length(self, fault):
        status, headers, body = self._fetch()
        self._answer(status, headers, body, length=len(body) + fault.shift, close=True)

    def _html(self, fault):
        status = 200 if fault.status == 503 else fault.status
        self._answer(status, [("Content-Type", "text/html")],
                     b"<!DOCTYPE html><html><body>Please sign in</body></html>")

    def _endless(self, _):
        status, headers, body = self._fetch()
        self._answer(status, headers, body, length=-1, close=True)
        filler = (body or b"x") * (65536 // max(len(body), 1) + 1)
        while True:
            self.wfile.write(filler)

    def _long(self, fault):
        status, headers, body = self._fetch()
        self._answer(status, headers, body + (body * fault.bytes)[:fault.bytes], length=-1,
                     close=True)

    def _bomb(self, _):
        self._answer(200, [("Content-Type", "application/xml")], BOMB.encode())

    def _body(self, fault):
        self._answer(200, [("Content-Type", "application/xml")], fault.body.encode())


def serve_control(proxy, port):
    """Lets other processes steer `proxy`; returns the server, whose port is in server_address."""

    class Control(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            url = urllib.parse.urlsplit(self.path)
            query = dict(urllib.parse.parse_qsl(url.query))
            answer = {}
            if url.path == "/set":
                types = {f.name: f.type for f in dataclasses.fields(Fault)}
                proxy.set(Fault(**{k: types[k](v) for k, v in query.items()}))
            elif url.path == "/clear":
                proxy.clear()
            elif url.path == "/log":
                answer = [dataclasses.asdict(entry) for entry in proxy.log()]
            else:
                self.send_error(404)
                return
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Control)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main():
    parser = argparse.ArgumentParser(description="A proxy in front of an S3 server that lies.")
    parser.add_argument("--upstream", required=True, metavar="HOST:PORT")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--control-port", type=int, default=0)
    arguments = parser.parse_args()
    host, port = arguments.upstream.rsplit(":", 1)
    with FaultProxy(host, int(port), arguments.port) as proxy:
        control = serve_control(proxy, arguments.control_port)
        print(json.dumps({"port": proxy.port, "control_port": control.server_address[1]}))
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
