"""Reads a worker's tier from its files, by docs/formats/tier.md alone: for a recount."""

import dataclasses
import os
import pathlib
import struct

GRANULE = 64 << 10
ENTRY = 132  # Bytes of index a granule of data.
HEADER = 128
CHUNK_MIN = 2 << 20
LENGTH_MAX = 64 << 20
PAGE = 4096
VERSION = 2


def _table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


@dataclasses.dataclass(frozen=True)
class Block:
    dataset: bytes
    path: bytes
    version: bytes
    index: int
    length: int
    file: pathlib.Path  # The data file, and where in it the block starts.
    offset: int

    def has_pages(self):
        """Whether no page of it is missing."""
        fd = os.open(self.file, os.O_RDONLY)
        try:
            return os.lseek(fd, self.offset, os.SEEK_HOLE) >= self.offset + self.length
        except OSError:
            return False  # Beyond the file's end.
        finally:
            os.close(fd)


def decode(entry):
    """(length, fields) of the header at the start of `entry`; None if there is no block."""
    magic, version, length, granules, index, _ = struct.unpack_from("<4s5I", entry)
    if magic != b"FBSH" or version != VERSION or entry[124:128] != b"CMIT":
        return None
    if not 1 <= length <= LENGTH_MAX or granules != -(-length // GRANULE):
        return None
    checksums = entry[HEADER:HEADER + 4 * granules]
    if len(checksums) != 4 * granules:
        return None
    if crc32c(entry[:120] + checksums) != struct.unpack_from("<I", entry, 120)[0]:
        return None
    return length, index


def blocks_of_chunk(index, chunk_bytes, file, offset):
    granule = 0
    while granule < chunk_bytes // GRANULE:
        entry = index[granule * ENTRY:]
        found = decode(entry)
        if found is None:
            granule += 1
            continue
        length, number = found
        yield Block(entry[32:48], entry[48:64], entry[64:80], number, length, file,
                    offset + granule * GRANULE)
        slot = GRANULE
        while slot < length:
            slot *= 2
        granule += slot // GRANULE


def read_tier(directory, block_bytes):
    """The blocks of all segments, those with pages missing left out. `block_bytes`: the tier's."""
    chunk = max(CHUNK_MIN, block_bytes)
    index_bytes = -(-ENTRY * (chunk // GRANULE) // PAGE) * PAGE
    blocks = []
    for index_file in sorted(pathlib.Path(directory).glob("seg-*.index")):
        index = index_file.read_bytes()
        data_file = index_file.with_suffix(".data")
        for number in range(len(index) // index_bytes):
            part = index[number * index_bytes:(number + 1) * index_bytes]
            blocks += blocks_of_chunk(part, chunk, data_file, number * chunk)
    return [block for block in blocks if block.has_pages()]
