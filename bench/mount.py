"""Our mounts against native memory, a raw loop over /dev/fuse, rclone mount and s3fs.

All are there at the same time, and read in turns. What is warm was read before; the kernel's pages
of large files are dropped before each reading, except by passthrough, which has none of its own.
"""

import os
import shutil
import statistics

from mounts import Mounts, Reader
from netlab import Lab, LabError
from pool import RAW_PORT, Pool, RawPairing
from report import Row, number
from store import BUCKET, DataSet, S3Server

SUMMARY = "mounts: against tmpfs, a raw FUSE loop, rclone mount and s3fs"

MIB = 1 << 20
BIG, BIG_COUNT = 256 * MIB, 5
SMALL_BYTES, SMALL_COUNT = 4096, 10_000
WIDE_COUNT = 100_000
READERS, READERS_BYTES = 100, 8 * MIB
QUICK_SHARE = 32  # Of all of these.
WORKER_ADDRESS = "127.0.0.1"
LEAST_NEAR = 0.99
WINDOW_MIB = 16  # What a client may have on its way.
FIRST = "data/00000.bin"

OURS = {  # Label -> flags, beside --members.
    "near": ("--near-memory", "{quota}"),
    "near, no passthrough": ("--near-memory", "{quota}", "-o", "nopassthrough"),
    "near, no passthrough, no resend": ("--near-memory", "{quota}", "-o",
                                        "nopassthrough,noresend"),
    "pool": (),
}
NEAR = [label for label in OURS if label.startswith("near")]


class _Bench:
    """What is mounted, and the rows so far."""

    def __init__(self, setting, reader):
        self._setting = setting
        self._reader = reader
        self.ours = {}    # Label -> Mounted.
        self.others = {}  # Label -> Mounted.
        self.rows = []

    def add(self, *row):
        self.rows.append(Row(*row))
        self._setting.say(str(self.rows[-1]))

    def warm(self, paths, how):
        for path in paths.values():
            self._reader.read(how, path)

    def figures(self, paths, how, options, unit):
        """Label -> rate of each round, all of them in turns. `unit`: of the rate."""
        rates = {label: [] for label in paths}
        for _ in range(self._setting.rounds):
            for label, path in paths.items():
                report = self._reader.read(how, path, options)
                amount = {"GB/s": report["bytes"] / 1e9, "k/s": report["operations"] / 1e3}[unit]
                rates[label].append(amount / report["seconds"])
        return rates

    def compare(self, title, rates, references, unit):
        """A row for each of ours against each reference. `references`: name -> bounds: label ->
        bound."""
        for reference, bounds in references.items():
            for label in (label for label in rates if label not in references):
                # Served by the same code: one of the two is enough.
                if reference in self.others and label.endswith("no resend"):
                    continue
                ratio = statistics.median(a / b for a, b in zip(rates[label], rates[reference]))
                target = f">= {bounds[label]}" if label in bounds else None
                self.add(f"{title}: {label}, of {reference}", ratio, "", target,
                         f"{number(statistics.median(rates[label]))} of "
                         f"{number(statistics.median(rates[reference]))} {unit}")

    def ahead(self, bound=1):
        """Bounds against the others: not slower."""
        return {name: dict.fromkeys(OURS, bound) for name in self.others}

    def against_fio(self, title, path, how, options, fio):
        """Our reader's figure against fio's, on the same file, in turns."""
        ratios, figures = [], []
        for _ in range(self._setting.rounds):
            theirs = self._reader.fio(path, *fio)
            if theirs is None:
                return
            report = self._reader.read(how, path, options)
            figures.append((report["bytes"] / 1e9 / report["seconds"], theirs))
            ratios.append(figures[-1][0] / theirs)
        self.add(f"our reader, of fio: {title}", statistics.median(ratios), "", ">= 0.9",
                 "{:.2f} of {:.2f} GB/s".format(*map(statistics.median, zip(*figures))))


def _references(bench, tmpfs, loop, remote, quick):
    """What the yardsticks are worth: our reader's figures against fio's."""
    passes = 1 if quick else 8
    count = 500 if quick else 400_000
    bench.against_fio("tmpfs, 1 MiB", tmpfs, "sequential", [f"passes={passes}"],
                      ("read", "1M", f"--loops={passes}"))
    bench.against_fio("tmpfs, mmap", tmpfs, "mapped", [f"passes={passes}"],
                      ("read", "1M", "--ioengine=mmap", f"--loops={passes}"))
    bench.against_fio("tmpfs, random 4 KiB", tmpfs, "random", ["block=4096", f"count={count}"],
                      ("randread", "4k", f"--number_ios={count}", "--norandommap"))
    bench.against_fio("raw loop, 128 KiB", loop, "sequential", ["block=131072", "drop"],
                      ("read", "128k"))
    bench.against_fio("raw recv to writev, 1 MiB", remote, "sequential", ["drop"], ("read", "1M"))


def _bytes(bench, tmpfs, loop, remote, quick):
    """The rows about bytes of one large file."""
    warm = {label: f"{bench.ours[label].at}/{FIRST}" for label in NEAR}
    pool = {"pool": f"{bench.ours['pool'].at}/{FIRST}"}
    others = {label: f"{mounted.at}/{FIRST}" for label, mounted in bench.others.items()}
    fast = [f"passes={1 if quick else 4}", "drop"]
    few = ["block=4096", f"count={500 if quick else 20_000}", "drop"]

    for title, how, options, unit, bound in (
            ("sequential 1 MiB", "sequential", fast, "GB/s", 0.90),
            ("mmap", "mapped", fast, "GB/s", 0.90), ("random 4 KiB", "random", few, "k/s", 0.80)):
        rates = bench.figures({"tmpfs": tmpfs, "raw loop": loop, **warm, **others}, how, options,
                              unit)
        bench.compare(title, rates, {"tmpfs": {"near": bound}, "raw loop": {}, **bench.ahead()},
                      unit)

    for title, options, bounds in (("remote 1 MiB", ["drop"], {"pool": 0.70}),
                                   ("remote 1 MiB, O_DIRECT", ["direct"], {})):
        rates = bench.figures({"recv to writev": remote, **pool}, "sequential", options, "GB/s")
        bench.compare(title, rates, {"recv to writev": bounds}, "GB/s")

    rates = bench.figures({"raw loop": loop, **warm, **pool, **others}, "sequential",
                          ["block=131072", "drop"], "GB/s")
    bench.compare("128 KiB", rates, {"raw loop": dict.fromkeys(NEAR, 0.80), **bench.ahead()},
                  "GB/s")


def _names(bench, raw, quick):
    """The rows about 10,000 small files."""
    ours = {label: f"{mounted.at}/small" for label, mounted in bench.ours.items()}
    others = {label: f"{mounted.at}/small" for label, mounted in bench.others.items()}
    paths = {"raw loop": raw.at, **ours, **others}
    for title, how, passes, bound in (("open, read, close", "small", 1, 0.60),
                                      ("stat", "stat", 8, 0.80), ("readdir", "list", 40, 0.80)):
        options = [f"passes={1 if quick else passes}"]
        bench.warm(paths, how)
        rates = bench.figures(paths, how, options, "k/s")
        # To stat the kernel itself answers, whatever is mounted: none can be ahead.
        ahead = bench.ahead(0.9 if how == "stat" else 1)
        bench.compare(title, rates, {"raw loop": dict.fromkeys(ours, bound), **ahead}, "k/s")


def _wide(bench, reader, rounds):
    """A directory of 100,000 entries."""
    for label, mounted in bench.ours.items():
        seconds = [reader.read("list", f"{mounted.at}/wide")["seconds"] for _ in range(rounds + 1)]
        bench.add(f"100,000 entries listed: {label}", statistics.median(seconds[1:]), "s", "<= 2",
                  f"{seconds[0]:.2f} s the first time")


def _memory(bench, reader, mounts, mount):
    """What a mount's processes hold, idle and at work."""
    for label in ("pool", "near"):
        mounted = mount(f"{label} under readers", label)
        bench.add(f"resident, idle: {label}", mounted.resident_mib(), "MiB", "<= 15", "PSS")
        peak = [0.0]

        def look():
            peak[0] = max(peak[0], mounted.resident_mib())

        reader.read("together", f"{mounted.at}/readers", [f"readers={READERS}"], look)
        bench.add(f"resident, {READERS} readers: {label}", peak[0], "MiB",
                  f"<= {64 + WINDOW_MIB}", "PSS, the highest seen; 64 and the client's window")


def _warm(bench, reader, names):
    """Reads as programs do, more than the quota holds, until the first file is near."""
    for label, mounted in bench.ours.items():
        for _ in range(2):
            for name in names:
                reader.read("sequential", f"{mounted.at}/{name}")
        for _ in range(3):  # The second reading is the first that can be near.
            before = mounted.read_bytes()
            report = reader.read("sequential", f"{mounted.at}/{names[0]}", ["drop"])
        given, near = (after - b for after, b in zip(mounted.read_bytes(), before))
        if label == "near":
            bench.add("near: passed through, of the bytes read", 1 - given / report["bytes"], "",
                      f">= {LEAST_NEAR}", "by ordinary reads of more than the quota")
        elif label in NEAR:
            bench.add(f"{label}: from near, of the bytes read", near / report["bytes"], "",
                      f">= {LEAST_NEAR}")
    for mounted in bench.others.values():
        for _ in range(2):
            reader.read("sequential", f"{mounted.at}/{names[0]}")


def _datasets(lab, quick):
    share = QUICK_SHARE if quick else 1
    return {"data": DataSet(lab, BIG_COUNT, BIG // share, "data"),
            "small": DataSet(lab, SMALL_COUNT // share, SMALL_BYTES, "small"),
            "wide": DataSet(lab, WIDE_COUNT // share, SMALL_BYTES, "wide"),
            "readers": DataSet(lab, READERS, READERS_BYTES // share, "readers")}


def run(setting, log):
    if not os.path.exists("/dev/fuse"):
        raise LabError("there is no /dev/fuse: nothing can be mounted")
    with Lab("bench-mount") as lab:
        host = lab.host("w-0")
        data = _datasets(lab, setting.quick)
        big = data["data"]
        root = big.root
        server = None
        if os.path.exists(setting.versitygw):
            server = S3Server(lab, setting, host, root, log, address=WORKER_ADDRESS)
        environment = server.environment() if server else {}
        url = f"s3://{BUCKET}/" if server else f"file://{root}/{BUCKET}/"
        pool = Pool(lab, setting, [host], host, log, environment)
        pool.start(1.5 * sum(one.bytes for one in data.values()), "4MiB",
                   server.options() if server else None, address=WORKER_ADDRESS)
        for one in data.values():
            one.settle()

        mounts = Mounts(lab, setting, host, log, environment)
        size = big.bytes // BIG_COUNT
        quota = str(int(2.5 * size))

        def mount(name, label):
            flags = [flag.format(quota=quota) for flag in OURS[label]]
            return mounts.forebay(name.replace(", ", "-").replace(" ", "-"), url, pool.members,
                                  *flags)

        reader = Reader(lab, setting, host, log)
        bench = _Bench(setting, reader)
        setting.say("memory")
        _memory(bench, reader, mounts, mount)

        native = mounts.native(2 * size)
        with open(f"{root}/{BUCKET}/{FIRST}", "rb") as source, \
                open(f"{native}/00000.bin", "wb") as copy:
            copy.truncate(size)  # First, so that its pages are huge ones.
            shutil.copyfileobj(source, copy, MIB)
        sender = RawPairing(lab, setting, [host], host, log)
        sender.start(size, address=WORKER_ADDRESS)
        remote = mounts.raw("raw-remote", native, f"from={WORKER_ADDRESS}", str(RAW_PORT))
        raw = mounts.raw("raw", native)
        raw_small = mounts.raw("raw-small", f"{root}/{BUCKET}/small")
        bench.ours = {label: mount(label, label) for label in OURS}
        for name in ("rclone", "s3fs"):
            if server and shutil.which(name):
                bench.others[name] = getattr(mounts, name)(server)
        setting.say("warming")
        _warm(bench, reader, big.names)
        large = [f"{at}/00000.bin" for at in (native, raw.at, remote.at)]
        _references(bench, *large, setting.quick)
        _bytes(bench, *large, setting.quick)
        _names(bench, raw_small, setting.quick)
        _wide(bench, reader, setting.rounds)
        return bench.rows
