"""The main job: bursts of research tasks, straight from the store and through a pool of workers.

    burst.py --forebay BINARY --task BINARY --versitygw BINARY --build FOLDER --out FOLDER

Run it through ./run. examples/market/README.md says what is measured and how.
Exit: 0 all bars reached; 1 a bar missed, or something failed; 130/143 interrupted.
"""

import argparse
import contextlib
import os
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "../../tools/netlab"))

import generate
import report
from netlab import Lab, LabError
from pool import DATASET, Pool
from store import BUCKET, Store
from tasks import Links, Outcome, burst, outcome_of_tasks

LINK_MBIT = 1250  # Of the store and of each worker, each direction; tasks' links are open.
WORKERS = 10
BLOCK = "2MiB"
WORKER_MEMORY = "23MiB"  # Less than half of the burst set: none can hold it all.

# Tasks at once -> way of reading -> rounds. Rounds are interleaved and figures are their medians;
# what takes half a minute is measured once.
ROUNDS = {1: {"direct": 3, "rclone": 3, "cold": 3, "warm": 3, "mount": 3},
          10: {"direct": 3, "rclone": 3, "cold": 3, "warm": 3, "mount": 1, "python": 1},
          50: {"direct": 1, "cold": 1, "warm": 1, "mount": 1},
          100: {"direct": 1, "rclone": 1, "cold": 1, "warm": 3, "mount": 1}}
MORE_TRIES, MORE_ROUNDS = 3, 2  # For a bar that was missed.
SMALL_ROUNDS = {1: {"direct": 1, "cold": 1, "warm": 1, "mount": 1},
                10: {"direct": 1, "cold": 1, "warm": 1, "mount": 1},
                100: {"direct": 1, "cold": 1, "warm": 1}}
SMALL_FILES = 100
CSV_FILES = 12  # Read by the tasks in Python, besides the burst set.
HASHED_TASKS_MAX = 10  # Up to here every task also checks the SHA-256 of what it read.


class Interrupted(BaseException):
    def __init__(self, number):
        super().__init__(number)
        self.number = number


class Progress:
    def __init__(self, started, steps):
        self._started = started
        self._steps = steps
        self._step = 0

    def elapsed(self):
        return time.time() - self._started

    def step(self, text):
        self._step += 1
        self.say(f"step {self._step} of {self._steps}: {text}")

    def say(self, text):
        print(f"[{self.elapsed():4.0f} s] {text}", file=sys.stderr, flush=True)


class Bench:
    """One way after another of reading one set of files."""

    def __init__(self, lab, hosts, store, pool, forebay, task, manifest, log):
        self._lab = lab
        self._store_host, self._worker_hosts, self._tasks_host = hosts
        self._store = store
        self._pool = pool
        self._forebay = forebay
        self._task = task
        self._total = sum(f["bytes"] for f in manifest["files"])
        self._csv = csv_files(manifest)
        self._log = log

    def links(self):
        return Links(self._lab.counters(self._store_host).sent,
                     sum(self._lab.counters(w).sent for w in self._worker_hosts),
                     self._lab.counters(self._tasks_host).received)

    def run(self, mode, files, count):
        """One burst of `count` tasks over `files` (entries of the manifest). Returns an Outcome."""
        if mode == "rclone":
            return self._rclone(files, count)
        size = sum(f["bytes"] for f in files)
        root = f"s3://{BUCKET}" if mode == "direct" else f"forebay://{DATASET}"
        if mode == "python":
            files = files + self._csv
            size = sum(f["bytes"] for f in files)
        expected = {f"{root}/{f['name']}": f for f in files}
        if mode != "direct":
            self._pool.renew(BLOCK)
        if mode in ("warm", "mount", "python"):
            self._pool.load([f["name"] for f in files], size / self._total)
        command = [self._task, "--start-fd", "0", "--reserve", str(size)]
        if count <= HASHED_TASKS_MAX:
            command.append("--sha256")
        if mode == "python":
            command = [os.path.join(HERE, "research_task.py")]
        if mode in ("mount", "python"):
            command = self._in_mount() + command
        elif mode != "direct":
            command += ["--control", self._pool.control]
        _, printed, links = burst(self._lab, self._tasks_host, count, command + list(expected),
                                  self._store.environment(), self._log, self.links)
        if mode != "direct":
            self._pool.check_alive()
        return outcome_of_tasks(printed, links, expected, size)

    def _in_mount(self):
        """Each task in a mount namespace of its own, with the dataset mounted for it alone."""
        return [os.path.join(HERE, "in_mount.sh"), self._forebay, self._pool.control, DATASET,
                os.path.join(self._lab.folder, "mounts")]

    def _rclone(self, files, count):
        """rclone stands ready as a shell, so its own start-up is part of the access time."""
        names = os.path.join(self._lab.folder, "names")
        with open(names, "w", encoding="ascii") as file:
            file.writelines(f"{f['name']}\n" for f in files)
        script = ("echo started; head -c 8 > /dev/null; exec rclone cat --discard "
                  f"--files-from-raw {names} store:{BUCKET} < /dev/null")
        seconds, _, links = burst(self._lab, self._tasks_host, count, ["sh", "-c", script],
                                  self._store.environment(), self._log, self.links)
        size = sum(f["bytes"] for f in files) * count
        if links.store_sent < size:
            raise LabError(f"rclone cat read less than its files: {links.store_sent} < {size}")
        return Outcome(seconds, [], size, {"upstream": size}, links)


def sets_of(manifest):
    """(the burst set: 12 files of 4 MB, 50 MB in all; the small set: 100 files of 10-200 KB)."""
    large = [f for f in manifest["files"] if f["name"].startswith("bars/B")]
    small = [f for f in manifest["files"] if f["name"].startswith("bars/S")]
    return large, small[::len(small) // SMALL_FILES][:SMALL_FILES]


def csv_files(manifest):
    """Some of the text files. Their volatility is that of the same bars in binary."""
    entries = {f["name"]: f for f in manifest["files"]}
    texts = [f for f in manifest["files"] if f["name"].startswith("csv/")][:CSV_FILES]
    return [{**f, "volatility": entries[f"bars/{f['name'][4:-4]}.bin"]["volatility"]}
            for f in texts]


def measure(bench, files, rounds, progress, label):
    """{tasks: {mode: [Outcome, one a round]}}, the modes interleaved."""
    measured = {}
    for count, wanted in rounds.items():
        measured[count] = {mode: [] for mode in wanted}
        progress.step(f"{label}: {count} task{'s' if count > 1 else ''} at once")
        for number in range(max(wanted.values())):
            for mode in (m for m in wanted if number < wanted[m]):
                outcome = bench.run(mode, files, count)
                measured[count][mode].append(outcome)
                progress.say(f"    {mode:6} mean {outcome.mean:7.3f} s  p99 {outcome.p99:7.3f} s"
                             f"  {outcome.bandwidth / 1e6:6.0f} MB/s")
    return measured


def measure_again(bench, files, measured, progress):
    """More rounds for the bars that were missed: on a machine that others use, too, three may lie.
    All rounds count; nothing is left out."""
    for _ in range(MORE_TRIES):
        missed = [bar for bar in report.bars(measured, LINK_MBIT) if not bar.reached]
        for count, mode in sorted({(bar.count, mode) for bar in missed for mode in bar.modes}):
            for _ in range(MORE_ROUNDS):
                outcome = bench.run(mode, files, count)
                measured[count][mode].append(outcome)
                progress.say(f"    again: {count} tasks {mode}, mean {outcome.mean:.3f} s")


def run(arguments, progress, stack):
    os.makedirs(arguments.out, exist_ok=True)
    log = stack.enter_context(open(os.path.join(arguments.out, "run.log"), "wb"))
    progress.step("the data set")
    data = os.path.join(arguments.build, "market-data")
    manifest = generate.generate(data)
    large, small = sets_of(manifest)

    progress.step(f"the network: a store, {WORKERS} workers, control, tasks")
    lab = stack.enter_context(Lab("market"))
    stack.callback(lambda: heed_signals(signal.SIG_IGN))  # First of all: cleaning up is not broken.
    store_host = lab.host("store", LINK_MBIT)
    control_host = lab.host("control")
    tasks_host = lab.host("tasks")
    worker_hosts = [lab.host(f"w-{i}", LINK_MBIT) for i in range(WORKERS)]
    store = Store(lab, store_host, arguments.versitygw,
                  os.path.join(arguments.build, "market-store"))
    store.start(log)
    if not store.holds(manifest):
        store.upload(manifest, os.path.join(data, "files"), progress.say)
    store.read_ahead([f["name"] for f in large + small])
    pool = Pool(lab, control_host, worker_hosts, tasks_host, arguments.forebay, store)
    pool.start(WORKER_MEMORY, BLOCK, log)

    bench = Bench(lab, (store_host, worker_hosts, tasks_host), store, pool, arguments.forebay,
                  arguments.task, manifest, log)
    results = {"large": measure(bench, large, ROUNDS, progress, "50 MB in 12 files")}
    measure_again(bench, large, results["large"], progress)
    results["small"] = measure(bench, small, SMALL_ROUNDS, progress, f"{SMALL_FILES} small files")
    progress.step("forebay verify: the burst set through the pool, against the store")
    pool.renew(BLOCK)
    total = sum(f["bytes"] for f in manifest["files"])
    pool.load([f["name"] for f in large], sum(f["bytes"] for f in large) / total)
    pool.verify([f"forebay://{DATASET}/{f['name']}" for f in large])
    status = pool.status()  # Only now have all workers told what they took.
    pool.evict()
    pool.stop()
    return results, status


def heed_signals(action):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, action)


def _interrupt(number, _):
    heed_signals(signal.SIG_IGN)
    raise Interrupted(number)


def main():
    parser = argparse.ArgumentParser()
    for name in ("forebay", "task", "versitygw", "build", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--started", type=float, default=time.time(), help="seconds since 1970")
    arguments = parser.parse_args()
    progress = Progress(arguments.started, 3 + len(ROUNDS) + len(SMALL_ROUNDS))
    heed_signals(_interrupt)
    try:
        with contextlib.ExitStack() as stack:
            results, status = run(arguments, progress, stack)
    except Interrupted as interrupted:
        print("run: interrupted; everything it started is gone", file=sys.stderr)
        return 128 + interrupted.number
    except LabError as error:
        print(f"run: {error}", file=sys.stderr)
        return 1
    setting = {"linkMbit": LINK_MBIT, "workers": WORKERS, "block": BLOCK,
               "workerMemory": WORKER_MEMORY, "runSeconds": round(progress.elapsed(), 1)}
    return report.publish(results, setting, status, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
