#!/usr/bin/python3
"""A research task as researchers write it: numpy and pandas on ordinary files.

    research_task.py --mounted DIR URL...

Stands ready, reads at the signal, computes, and reports as market_task does: README.md beside it
has that contract. URL names a file below DIR, the dataset's mount.
"""

import argparse
import json
import os
import struct
import sys
import time
import urllib.parse

import numpy as np
import pandas as pd

HEAD_BYTES = 64
COLUMNS = 6
CLOSE = 4
MINUTES_PER_YEAR = 252 * 390


def volatility(close):
    returns = np.diff(np.log(close.astype(np.float64)))
    return float(np.sqrt(np.dot(returns, returns) * MINUTES_PER_YEAR / len(returns)))


def read(path):
    """(bytes read, what the volatility is computed of)."""
    if path.endswith(".csv"):
        bars = pd.read_csv(path, dtype="f4")
        return os.path.getsize(path), bars["close"].to_numpy()
    bars = np.fromfile(path, dtype="<f4", offset=HEAD_BYTES)
    return HEAD_BYTES + bars.nbytes, bars.reshape(COLUMNS, -1)[CLOSE]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mounted", required=True)
    parser.add_argument("urls", nargs="+")
    arguments = parser.parse_args()
    print("started", flush=True)
    (signal,) = struct.unpack("<Q", os.read(0, 8))
    first_byte, closes, size = None, {}, 0
    for url in arguments.urls:
        path = os.path.join(arguments.mounted, urllib.parse.urlsplit(url).path.lstrip("/"))
        count, closes[url] = read(path)
        size += count
        first_byte = first_byte or time.monotonic_ns()
    end = time.monotonic_ns()
    os.nice(19)
    with open(os.path.join(arguments.mounted, ".forebay/status"), encoding="utf-8") as file:
        sources = json.load(file)["sourceBytes"]
    print(json.dumps({"firstByteSeconds": (first_byte - signal) / 1e9,
                      "accessSeconds": (end - signal) / 1e9, "bytes": size,
                      "sources": sources,
                      "volatility": {url: volatility(close) for url, close in closes.items()}}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
