"""What every bench needs of the programs that it starts."""

import dataclasses
import os
import re
import select

from netlab import LabError

START_SECONDS = 30.0
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a bench is told."""

    forebay: str    # Binary.
    tools: str      # Folder of raw_pairing and its like.
    micro: str      # Folder below which the micro benchmarks lie.
    versitygw: str  # Binary.
    quick: bool     # A small dose, to see that everything works.
    scale: float    # Of the bytes, where a bench says so.
    rounds: int     # Interleaved; figures are their medians.
    say: object     # say(text): progress.


def urgent(command):
    """`command`, ahead of whatever else this machine does: sessions share a busy machine equally
    whatever they run, and each program of a lab is a session of its own (sched(7), autogroup)."""
    return ["sh", "-c", 'echo -20 2> /dev/null > /proc/self/autogroup; exec "$@"', "sh", *command]


def wait_ready(process, log, word="ready"):
    """Waits for the line that starts with `word` on the standard output of `process`."""
    name = " ".join(process.args[process.args.index("sh", 5) + 1:])
    if select.select([process.stdout], [], [], START_SECONDS)[0]:
        line = process.stdout.readline().decode("utf-8", "replace")
        if line.startswith(word):
            return
        raise LabError(f"{name}: said {line!r} instead of `{word}`: see {log.name}")
    raise LabError(f"{name}: not ready within {START_SECONDS:.0f} s: see {log.name}")


def cpu_seconds(pid):
    """User and system time of a process so far."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def resident_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        fields = dict(re.findall(r"^(Rss\w+):\s+(\d+) kB$", file.read(), re.MULTILINE))
    # Not RssShmem: mapped blocks of the tier are the quota's.
    return (int(fields["RssAnon"]) + int(fields["RssFile"])) * 1024
