#!/usr/bin/env python3
"""clang-tidy on the C++ files that changed since the previous landing or are not committed.

Without an earlier commit: on a bounded choice of all files, by the hash of this one.
"""

import concurrent.futures
import hashlib
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES_MAX = 40  # About four minutes on two cores.


def git(*arguments):
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True,
                          check=False)
    return done.stdout.split() if done.returncode == 0 else None


def changed():
    """Changed paths, or None if there is nothing to compare with."""
    base = git("merge-base", "HEAD~1", "origin/main") or git("rev-parse", "HEAD~1")
    if not base:
        return None
    return [*git("diff", "--name-only", base[0]),
            *git("ls-files", "--others", "--exclude-standard")]


def units(paths):
    """The sources of `paths`; for a header the source beside it."""
    names = {re.sub(r"\.h$", ".cc", p) for p in paths if re.fullmatch(r"src/.*\.(h|cc)", p)}
    return sorted(name for name in names if (ROOT / name).is_file())


def findings(name):
    """What clang-tidy says about the source `name`, also printed; empty if it is clean."""
    done = subprocess.run(["clang-tidy-19", "-p", "build/release", "--quiet",
                           "--extra-arg=-Wno-error", "--extra-arg=-Qunused-arguments", name],
                          cwd=ROOT, capture_output=True, text=True, check=False)
    text = done.stdout.strip() or ("" if done.returncode == 0 else done.stderr.strip())
    print(f"{name}: {text or 'clean'}", flush=True)
    return text


def main():
    head = (git("rev-parse", "HEAD") or [""])[0]
    paths = changed()
    chosen = units(paths if paths is not None else git("ls-files"))
    chosen.sort(key=lambda name: hashlib.sha256((head + name).encode()).digest())
    chosen = sorted(chosen[:FILES_MAX])
    print(f"clang-tidy on {len(chosen)} files", flush=True)
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        found = list(pool.map(findings, chosen))
    return sum(1 for text in found if text)


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
