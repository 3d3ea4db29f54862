"""A reader that stalls keeps the bytes that it was sent, whatever becomes of their slot."""

import array
import fcntl
import os
import random
import select
import termios
import unittest

from pool_case import PoolTest, harness, pool_total
from wire_client import (ACK, BLOCK_DATA, ERROR, FILL_ONLY, FILLED, GRANULE, HEADER, INSIST,
                         NOT_HERE, Frame, WireClient, checksums, crc32c)

READERS = 1000
ROUNDS = 10
SCAN_BLOCKS = 256  # More than the tier holds.
SENT_AT_ONCE = 16  # Fewer than the tier's slots: all of them are pinned while they are sent.
REPLY_BYTES = HEADER.size + 4 + 4 + 4 + 4 + GRANULE  # Offset, count, checksum, the body's own.


def unread_bytes(sock):
    """What lies in the receive buffer."""
    count = array.array("i", [0])
    fcntl.ioctl(sock, termios.FIONREAD, count)
    return count[0]


class Recycling(PoolTest):
    def setUp(self):
        super().setUp()
        rng = random.Random(5)
        self.blocks = [rng.randbytes(GRANULE) for _ in range(READERS)]
        self.sums = [crc32c(block) for block in self.blocks[:8]]  # The rest: against each other.
        root = self.make_tree({"0": b"".join(self.blocks),
                               "scan": rng.randbytes(SCAN_BLOCKS * GRANULE)})
        for number in range(1, ROUNDS):
            os.link(root / "0", root / str(number))
        self.root = self.old_tree({})
        address = f"127.0.0.1:{harness.free_port()}"
        members = self.write_members([("recycling", address)], blockSize="64KiB",
                                     allow=["file:///"])
        self.worker = self.start_worker("recycling", address, members, memory="16MiB")
        self.address = self.worker.ready_line.split()[2]
        self.scanner = self.connect(1 << 16)
        self.scan = self.scanner.stat("file://", f"{self.root}/scan"[1:])

    def connect(self, buffer):
        client = WireClient(self.address, receive_buffer=buffer)
        self.addCleanup(client.close)
        self.assertEqual(client.greet(GRANULE).type, 2)
        return client

    def hold(self, file, indices):
        """Has the worker hold blocks, bringing no bytes here: how many it did not hold before."""
        filled = 0
        for at in range(0, len(indices), SENT_AT_ONCE):
            some = indices[at:at + SENT_AT_ONCE]
            for index in some:
                self.scanner.request(file, index, GRANULE, FILL_ONLY | INSIST)
            for _ in some:
                frame = self.scanner.receive()
                self.assertEqual(frame.type, BLOCK_DATA, frame)
                filled += bool(frame.flags & FILLED)
        return filled

    def stall(self, readers, file):
        """Every reader asks for its block, which then lies unread in its socket."""
        def has_it(index):
            there = unread_bytes(readers[index].socket)
            if 0 < there < GRANULE and readers[index].peek_type() == ERROR:
                # So small a tier may have given the block up before it could be sent.
                self.assertEqual(readers[index].receive().code, NOT_HERE)
                readers[index].request(file, index, GRANULE, INSIST)
            return there == REPLY_BYTES
        for at in range(0, READERS, SENT_AT_ONCE):
            some = range(at, min(at + SENT_AT_ONCE, READERS))
            for index in some:
                readers[index].request(file, index, GRANULE, INSIST)
            for index in some:
                select.select([readers[index].socket], [], [], harness.START_TIMEOUT)
                harness.wait_until(lambda i=index: has_it(i), f"the reply to reader {index}")

    def evict_and_refill(self, file):
        """Reads other blocks through the tier until it holds none of the file's."""
        evicted = pool_total([self.worker], "forebay_evictions_total")
        for _ in range(8):  # Blocks that come back soon are kept; those of `file` do not.
            self.hold(self.scan, range(SCAN_BLOCKS))
        more = pool_total([self.worker], "forebay_evictions_total") - evicted
        self.assertGreater(more, SCAN_BLOCKS)
        self.assertEqual(self.hold(file, range(READERS)), READERS, "not everything was evicted")

    def test_stalled_readers_keep_what_they_were_sent(self):
        readers = [self.connect(1 << 18) for _ in range(READERS)]
        read = wrong_bytes = wrong_sums = 0
        expected = {}
        for number in range(ROUNDS):
            file = self.scanner.stat("file://", f"{self.root}/{number}"[1:])
            self.stall(readers, file)
            self.evict_and_refill(file)
            for index, reader in enumerate(readers):
                frame = reader.receive()
                self.assertEqual(frame.type, BLOCK_DATA, frame)
                read += 1
                wrong_bytes += frame.payload != self.blocks[index]
                # One checksum for the same bytes, in every round; that of the first by our own.
                (checksum,) = checksums(frame)
                wrong_sums += expected.setdefault(index, checksum) != checksum
                reader.send(Frame(ACK))
            wrong_sums += [expected[i] for i in range(len(self.sums))] != self.sums
        print(f"{read} stalled reads, {wrong_bytes} wrong, {wrong_sums} checksum failures")
        self.assertEqual((read, wrong_bytes, wrong_sums), (READERS * ROUNDS, 0, 0))


if __name__ == "__main__":
    unittest.main()
