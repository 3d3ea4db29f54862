"""Network namespaces with capped links, for demos and benches on one machine (root, Linux).

A Lab is a set of hosts (network namespaces) on one switch (a bridge in a namespace of its own), so
the machine's own network is never touched. Each host has one link, capped in both directions by a
token bucket, or open. Everything is named fb-LAB-...; a Lab removes what it made when it closes,
and what a killed earlier run of the same name left behind when it opens.

    with Lab("demo") as lab:
        store = lab.host("store", mbit=1250)
        tasks = lab.host("task")
        server = lab.start(store, ["some-server", f"{store.address}:9000"])
        lab.start(tasks, ["some-client", f"{store.address}:9000"]).wait()

Thread safety: none; one thread owns a Lab. Errors: LabError.
"""

import ctypes
import dataclasses
import fcntl
import json
import os
import shutil
import signal
import subprocess
import time

PREFIX = "fb-"
STATE_ROOT = "/dev/shm"  # Memory, so that a worker's tier may live below a lab's folder.

# A token bucket smaller than two full GSO packets throttles below its rate; a queue of 50 ms lets
# TCP fill the link.
BUCKET_BYTES = 256 * 1024
QUEUE = "50ms"

# The table of neighbours is one for the machine: 120 hosts talking all to all overflow the default
# of 1,024, and connections then fail with "No route to host".
NEIGHBOURS_MIN = 16384

STOP_SECONDS = 5.0  # What a process may take to end after SIGTERM.


class LabError(Exception):
    """What went wrong, in words for the user."""


@dataclasses.dataclass(frozen=True)
class Host:
    name: str
    namespace: str
    address: str
    mbit: int | None  # Of the link, each direction; None: open.


@dataclasses.dataclass(frozen=True)
class LinkCounters:
    """Bytes and drops of a host's link, as the kernel counts them."""

    sent: int
    received: int


def _run(*command, text=None):
    done = subprocess.run(command, input=text, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise LabError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def _tie_to_parent():
    """In a child: die with the process that started it, however that one ends."""
    pr_set_pdeathsig = 1
    _LIBC.prctl(pr_set_pdeathsig, signal.SIGKILL)


_LIBC = ctypes.CDLL(None, use_errno=True)


class Lab:
    def __init__(self, name):
        self.name = name
        self.folder = f"{STATE_ROOT}/{PREFIX}{name}"
        self._prefix = f"{PREFIX}{name}-"
        self._switch = f"{self._prefix}switch"
        self._hosts = []
        self._processes = []
        self._lock = None

    def __enter__(self):
        if os.geteuid() != 0:
            raise LabError("network namespaces need root: run this with sudo")
        self._lock = open(f"/run/{PREFIX}{self.name}.lock", "w", encoding="ascii")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            self._lock = None
            raise LabError(f"another run of lab {self.name!r} is going on: wait for it, or stop it")
        try:
            self._remove()
            self._make_switch()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def host(self, name, mbit=None):
        """Adds a host and brings its link up. `mbit`: its cap in Mbit/s, each direction."""
        number = len(self._hosts) + 2
        host = Host(name, self._prefix + name, f"10.77.{number >> 8}.{number & 255}", mbit)
        _run("ip", "netns", "add", host.namespace)
        _run("ip", "-n", self._switch, "link", "add", "dev", name, "type", "veth",
             "peer", "name", "eth0", "netns", host.namespace)
        self._configure(self._switch, [f"link set dev {name} master br0 up"])
        # cubic by route, for every program alike: the machine's default may be bbr, which is slow
        # in a data centre (2-4 times, measured).
        self._configure(host.namespace, [
            "link set lo up", f"address add {host.address}/16 dev eth0", "link set eth0 up",
            f"route replace 10.77.0.0/16 dev eth0 src {host.address} congctl cubic",
            "route replace local 127.0.0.0/8 dev lo congctl cubic"])
        if mbit is not None:
            for namespace, device in ((host.namespace, "eth0"), (self._switch, name)):
                _run("tc", "-n", namespace, "qdisc", "add", "dev", device, "root", "tbf",
                     "rate", f"{mbit}mbit", "burst", str(BUCKET_BYTES), "latency", QUEUE)
        self._hosts.append(host)
        return host

    def start(self, host, command, **popen):
        """Starts `command` on `host`, as subprocess.Popen would, in a session of its own.

        It is stopped when the lab closes, and dies when this process does. Only its network is the
        host's: mounts it makes are seen, and removed, from here.
        """
        entered = ["nsenter", f"--net=/run/netns/{host.namespace}", "--", *command]
        process = subprocess.Popen(entered, start_new_session=True, preexec_fn=_tie_to_parent,
                                   **popen)
        self._processes = [p for p in self._processes if p.poll() is None]
        self._processes.append(process)
        return process

    def stop(self, processes):
        """SIGTERM to all, SIGKILL to those that are there STOP_SECONDS later; returns how many."""
        running = [p for p in processes if p.poll() is None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        killed = 0
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                killed += 1
        return killed

    def listens(self, host, port):
        """Whether some process on `host` accepts TCP connections on `port`."""
        return bool(_run("nsenter", f"--net=/run/netns/{host.namespace}", "ss", "-Hltn",
                         f"sport = :{port}"))

    def counters(self, host):
        """What `host` sent and received over its link since it came up."""
        link = json.loads(_run("ip", "-n", host.namespace, "-s", "-j", "link", "show", "eth0"))[0]
        return LinkCounters(link["stats64"]["tx"]["bytes"], link["stats64"]["rx"]["bytes"])

    def close(self):
        """Stops every process and removes every trace. May be called twice."""
        if self._lock is None:
            return
        self.stop(self._processes)
        self._remove()
        self._lock.close()
        self._lock = None

    def _make_switch(self):
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        for level in (1, 2, 3):
            path = f"/proc/sys/net/ipv4/neigh/default/gc_thresh{level}"
            with open(path, "r+", encoding="ascii") as setting:
                if int(setting.read()) < NEIGHBOURS_MIN:
                    setting.seek(0)
                    setting.write(str(NEIGHBOURS_MIN))
        _run("ip", "netns", "add", self._switch)
        # A switch runs no firewall: otherwise every packet passes the machine's rules three times.
        _run("ip", "netns", "exec", self._switch, "sh", "-c",
             "for rule in /proc/sys/net/bridge/bridge-nf-call-*; do "
             "[ ! -e $rule ] || echo 0 > $rule; done")
        self._configure(self._switch, ["link add br0 type bridge", "link set br0 up"])

    def _configure(self, namespace, lines):
        _run("ip", "-n", namespace, "-batch", "-", text="\n".join(lines) + "\n")

    def _remove(self):
        """Ends what runs in namespaces of this lab's name, and removes them, mounts and files."""
        names = [n.split()[0] for n in _run("ip", "netns", "list").splitlines() if n]
        names = [n for n in names if n.startswith(self._prefix)]
        for name in names:
            for pid in _run("ip", "netns", "pids", name).split():
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
        for name in names:
            _run("ip", "netns", "delete", name)
        with open("/proc/self/mounts", encoding="utf-8") as mounts:
            below = [m.split()[1] for m in mounts if m.split()[1].startswith(self.folder + "/")]
        for mount in reversed(below):
            subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        self._hosts = []
