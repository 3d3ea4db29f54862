"""A TCP proxy between a client and a worker that flips bits of block bytes on the way."""

import socket
import threading

from wire_client import BLOCK_DATA, HEADER, frame_lengths


class FlippingProxy:
    """Passes frames on; `flips` replies more (-1: all) lose a bit of their payload."""

    def __init__(self, address):
        self._lock = threading.Lock()
        self._flips = 0
        self.flipped = 0
        host, port = address.rsplit(":", 1)
        self._worker = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def flip(self, times):
        with self._lock:
            self._flips = times

    def close(self):
        self._listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client, socket.create_connection(self._worker) as worker:
            requests = threading.Thread(target=self._until_closed, daemon=True,
                                        args=(self._requests, client, worker))
            requests.start()
            self._until_closed(self._replies, worker, client)
            requests.join()

    @staticmethod
    def _until_closed(target, source, sink):
        try:
            target(source, sink)
        except (OSError, EOFError):
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # The other direction was faster.

    def _requests(self, source, sink):
        while data := source.recv(1 << 16):
            sink.sendall(data)

    def _replies(self, source, sink):
        while True:
            head = _exactly(source, HEADER.size)
            kind, body_bytes, payload_bytes = frame_lengths(head)
            body = _exactly(source, body_bytes)
            payload = bytearray(_exactly(source, payload_bytes))
            if kind == BLOCK_DATA and payload and self._take():
                payload[len(payload) // 2] ^= 0x10
            sink.sendall(head + body + payload)

    def _take(self):
        with self._lock:
            if self._flips == 0:
                return False
            self._flips -= self._flips > 0
            self.flipped += 1
            return True


def _exactly(source, count):
    data = bytearray()
    while len(data) < count:
        part = source.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data
