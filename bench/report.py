"""Rows with a target each, as a table and as JSON, beside the facts of the machine."""

import dataclasses
import datetime
import os
import platform
import re
import subprocess


@dataclasses.dataclass(frozen=True)
class Row:
    """One figure. `target` is text like ">= 0.90"; None: shown for comparison only."""

    name: str
    value: float
    unit: str = ""
    target: str | None = None
    note: str = ""

    @property
    def reached(self):
        if self.target is None:
            return None
        sign, bound = self.target.split()
        return self.value >= float(bound) if sign == ">=" else self.value <= float(bound)

    @property
    def verdict(self):
        return {None: "", True: "ok", False: "MISSED"}[self.reached]

    def __str__(self):
        """For progress, before the table is there."""
        return f"{self.name}: {number(self.value)} {self.unit} {self.verdict} {self.note}"

    def json(self):
        return {**dataclasses.asdict(self), "reached": self.reached}


def number(value):
    """Three significant digits and no exponent."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")


def table(rows):
    cells = [("", "value", "unit", "target", "", "")]
    cells += [(r.name, number(r.value), r.unit, r.target or "", r.verdict, r.note) for r in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    right = (1,)
    return "\n".join("  ".join(cell.rjust(w) if i in right else cell.ljust(w)
                               for i, (cell, w) in enumerate(zip(line, widths))).rstrip()
                     for line in cells)


def machine():
    """What a figure hangs on."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(file.readline().split()[1]) / 2**20
    compiler = subprocess.run(["c++", "--version"], capture_output=True, text=True, check=False)
    return {"cores": os.cpu_count(), "cpu": model.group(1) if model else platform.machine(),
            "memoryGiB": round(memory), "kernel": platform.release(),
            "compiler": compiler.stdout.splitlines()[0] if compiler.stdout else "unknown",
            "date": datetime.date.today().isoformat(), "load": os.getloadavg()[0]}
