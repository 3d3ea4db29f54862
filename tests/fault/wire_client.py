"""A client of docs/formats/wire.md that was written from the document alone, and may misbehave."""

import dataclasses
import socket
import struct

MAGIC = b"FBY1"
HEADER = struct.Struct("<4sBBHIIQQQQIIHHI")
HELLO, WELCOME, READ_BLOCK, BLOCK_DATA, STAT, STAT_REPLY = 1, 2, 3, 4, 5, 6
LIST, LIST_REPLY, ACK, CANCEL, ERROR, PING, PONG = 7, 8, 9, 10, 11, 12, 13
GROUP, GROUP_REPLY = 14, 15
FILL_ONLY, INSIST, RECHECK, PEER, LAST, FILLED, FROM_PEER = 1, 2, 4, 8, 16, 32, 64
NOT_HERE, INVALID_ARGUMENT, DENIED = 1, 3, 9  # Codes of an Error.
GRANULE = 64 << 10


def _table():
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        yield byte


_TABLE = tuple(_table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack("<I", len(value)) + value


def sealed(body):
    """A body with its checksum."""
    return body + struct.pack("<I", crc32c(body)) if body else body


@dataclasses.dataclass
class Frame:
    type: int
    flags: int = 0
    request_id: int = 0
    acked: int = 0
    deadline_ms: int = 0
    code: int = 0
    version: int = 1
    body: bytes = b""
    payload: bytes = b""

    def encode(self):
        head = HEADER.pack(MAGIC, self.version, self.type, self.flags, len(self.body),
                           len(self.payload), self.request_id, 0, self.acked, 0, 0,
                           self.deadline_ms, 0, self.code, 0)[:-4]
        return head + struct.pack("<I", crc32c(head)) + self.body + self.payload

    def message(self):
        """The text of an Error or a GroupReply."""
        (length,) = struct.unpack_from("<I", self.body)
        return self.body[4:4 + length].decode()


def frame_lengths(head):
    """(type, body bytes, payload bytes) of an encoded header."""
    fields = HEADER.unpack(head)
    return fields[2], fields[4], fields[5]


def hello(block_bytes, endpoint="", versions=(1, 1)):
    return sealed(struct.pack("<BBQI", *versions, 1, block_bytes) + text(endpoint) + text(""))


@dataclasses.dataclass(frozen=True)
class File:
    store: str
    path: str
    version: str
    size: int


class WireClient:
    """One connection. Reads nothing unless told to."""

    def __init__(self, address, receive_buffer=None):
        if address.startswith("unix:"):
            family, peer = socket.AF_UNIX, address.removeprefix("unix:")
        else:
            host, port = address.rsplit(":", 1)
            family, peer = socket.AF_INET, (host, int(port))
        self.socket = socket.socket(family)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(20)
        self.socket.connect(peer)
        self.acked = 0
        self._next_id = 1

    def close(self):
        self.socket.close()

    def send(self, frame):
        frame.acked = self.acked
        self.socket.sendall(frame.encode())

    def exactly(self, count):
        parts = bytearray()
        while len(parts) < count:
            got = self.socket.recv(count - len(parts))
            if not got:
                raise EOFError("the worker closed the connection")
            parts += got
        return bytes(parts)

    def receive(self):
        fields = HEADER.unpack(self.exactly(HEADER.size))
        assert fields[0] == MAGIC, fields
        frame = Frame(fields[2], flags=fields[3], request_id=fields[6], code=fields[13],
                      version=fields[1])
        frame.body = self.exactly(fields[4])
        frame.payload = self.exactly(fields[5])
        if frame.type == BLOCK_DATA:
            self.acked += 1
        return frame

    def peek_type(self):
        """The type of the frame that comes next, once its header is there."""
        head = self.socket.recv(HEADER.size, socket.MSG_PEEK)
        return HEADER.unpack(head)[2] if len(head) == HEADER.size else None

    def greet(self, block_bytes, endpoint="", versions=(1, 1), header_version=1):
        self.send(Frame(HELLO, body=hello(block_bytes, endpoint, versions),
                        version=header_version))
        return self.receive()

    def request(self, file, index, length, flags=0, deadline_ms=60_000):
        """Asks for a block's first `length` bytes."""
        body = (text(file.store) + text(file.path) + text(file.version)
                + struct.pack("<QIII", file.size, index, 0, length))
        self.send(Frame(READ_BLOCK, flags=flags, request_id=self._next_id, body=sealed(body),
                        deadline_ms=deadline_ms))
        self._next_id += 1

    def stat(self, store, path):
        """What the pool knows about a name."""
        body = text(store) + text(path) + text("") + struct.pack("<I", 60_000)
        self.send(Frame(STAT, request_id=self._next_id, body=sealed(body), deadline_ms=60_000))
        self._next_id += 1
        reply = self.receive()
        if reply.type != STAT_REPLY:
            raise OSError(reply.message())
        at = 4 + 4 + 8 + 4 + 4  # age, next (""), left_out, count, name ("").
        _, size, _, length = struct.unpack_from("<BQqI", reply.body, at)
        at += struct.calcsize("<BQqI")
        return File(store, path, reply.body[at:at + length].decode(), size)


def checksums(data_frame):
    """Those of a BlockData's granules."""
    _, count = struct.unpack_from("<II", data_frame.body)
    return struct.unpack_from(f"<{count}I", data_frame.body, 8)
