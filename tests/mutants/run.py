#!/usr/bin/env python3
"""Removes one guard at a time and demands that a test goes red.

A mutant is a file NN-name.patch: a unified diff for `git apply`, preceded by comment lines:

    # killed-by: core_test [argument...]      build this target and run it, or
    # killed-by-command: ARGV...              build `forebay`, run this (no shell) in the scratch
                                              tree with FOREBAY_BINARY in its environment
    # builds: TARGET...                       optional, instead of what the line above builds

Each killer must be green without the mutant and red with it. A patch that does not apply or does
not compile is an error of the patch. Prints `killed`, `SURVIVED` or `ERROR` for each; exit 1 unless
all are killed. Works on a copy of the tree in build/mutants, never on the tree itself.
"""

import argparse
import dataclasses
import filecmp
import hashlib
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path("tests/mutants")
SCRATCH = ROOT / "build" / "mutants"
TREE = SCRATCH / "tree"
BUILD = SCRATCH / "build"
BUILD_TIMEOUT_S = 1200


class PatchError(Exception):
    """The mutant itself is wrong."""


@dataclasses.dataclass(frozen=True)
class Killer:
    argv: tuple
    targets: tuple
    is_command: bool

    def __str__(self):
        return shlex.join(self.argv)


@dataclasses.dataclass(frozen=True)
class Mutant:
    path: pathlib.Path
    killer: Killer

    @property
    def name(self):
        return self.path.stem


def parse(path):
    """The mutant in `path`. Raises PatchError if its head names no killer."""
    fields = {}
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            break
        key, _, value = line[1:].partition(":")
        fields[key.strip()] = shlex.split(value)
    command = fields.get("killed-by-command")
    argv = command or fields.get("killed-by")
    if not argv:
        raise PatchError("no '# killed-by:' or '# killed-by-command:' line at its head")
    default = ["forebay"] if command else argv[:1]
    return Mutant(path, Killer(tuple(argv), tuple(fields.get("builds", default)), bool(command)))


def choose(mutants, count, seed):
    """`count` of the mutants, by the hash of a commit: other ones for other commits."""
    return sorted(sorted(mutants, key=lambda m: hashlib.sha256(
        f"{seed} {m.name}".encode()).hexdigest())[:count], key=lambda m: m.name)


def copy_tree():
    """Makes TREE what the tree is now. Files that are equal keep their time: builds stay small."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT,
                            check=True, capture_output=True, text=True).stdout.split("\0")
    wanted = {pathlib.Path(name) for name in listed if name and (ROOT / name).is_file()}
    for old in [p for p in TREE.rglob("*") if p.is_file() or p.is_symlink()]:
        if old.relative_to(TREE) not in wanted:
            old.unlink()
    for name in wanted:
        target = TREE / name
        if target.is_file() and filecmp.cmp(ROOT / name, target, shallow=False):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
        shutil.copymode(ROOT / name, target)


def run(argv, timeout_s, env=None, cwd=TREE):
    """(exit status, or None if it took too long; what it printed)"""
    with subprocess.Popen(argv, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", start_new_session=True) as process:
        try:
            output, _ = process.communicate(timeout=timeout_s)
            return process.returncode, output
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            return None, process.communicate()[0]


def configure():
    status, output = run(["cmake", "-S", TREE, "-B", BUILD, "-G", "Ninja",
                          "-DCMAKE_BUILD_TYPE=None", "-DCMAKE_CXX_FLAGS=-O1 -DNDEBUG"],
                         BUILD_TIMEOUT_S)
    if status != 0:
        sys.exit(f"cmake failed:\n{output}")


def build(targets, jobs):
    status, output = run(["cmake", "--build", BUILD, "-j", str(jobs), "--target", *targets],
                         BUILD_TIMEOUT_S)
    if status != 0:
        raise PatchError("does not compile:\n" + "\n".join(output.splitlines()[-20:]))


def executable(target):
    found = [p for p in BUILD.rglob(target) if p.is_file() and os.access(p, os.X_OK)]
    if len(found) != 1:
        raise PatchError(f"the build has {len(found)} executables called {target}")
    return str(found[0])


def is_green(killer, timeout_s):
    if not killer.is_command:
        return run([executable(killer.argv[0]), *killer.argv[1:]], timeout_s)[0] == 0
    env = dict(os.environ)
    if "forebay" in killer.targets:
        env["FOREBAY_BINARY"] = executable("forebay")
    # What tools/setup brought lies in the tree itself, not in its copy.
    env.setdefault("FOREBAY_VERSITYGW", str(ROOT / "build" / "tools" / "versitygw"))
    env.setdefault("FOREBAY_MOTO", str(ROOT / "build/tools/moto/bin/moto_server"))
    return run(list(killer.argv), timeout_s, env)[0] == 0


def apply(mutant, *flags):
    # Without a ceiling git would take paths as relative to the repository around the scratch tree.
    env = dict(os.environ, GIT_CEILING_DIRECTORIES=str(SCRATCH))
    status, output = run(["git", "apply", *flags, str(mutant.path)], 60, env)
    if status != 0:
        raise PatchError(f"does not apply: {output.strip()}")


def try_mutant(mutant, arguments, known_green):
    """'killed' or 'SURVIVED'. Raises PatchError."""
    killer = mutant.killer
    if killer not in known_green:
        build(killer.targets, arguments.jobs)
        if not is_green(killer, arguments.timeout):
            raise PatchError(f"{killer} is red without any mutant")
        known_green.add(killer)
    apply(mutant)
    try:
        build(killer.targets, arguments.jobs)
        return "SURVIVED" if is_green(killer, arguments.timeout) else "killed"
    finally:
        apply(mutant, "-R")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--all", action="store_true")
    which.add_argument("--pick", type=int, metavar="N", help="N of them, chosen by --seed")
    which.add_argument("--only", nargs="+", metavar="NAME")
    parser.add_argument("--seed", default="", metavar="HASH", help="a commit's hash")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=120, help="seconds for one run of a test")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    mutants, errors = [], 0
    for path in sorted((ROOT / HERE).glob("*.patch")):
        try:
            mutants.append(parse(path))
        except PatchError as error:
            errors += 1
            print(f"ERROR     {path.stem}: {error}", flush=True)
    if arguments.pick is not None:
        mutants = choose(mutants, arguments.pick, arguments.seed)
    if arguments.only:
        mutants = [m for m in mutants if m.name in arguments.only]
    if not mutants:
        sys.exit("no such mutant")
    SCRATCH.mkdir(parents=True, exist_ok=True)
    copy_tree()
    configure()
    survivors, known_green = 0, set()
    for mutant in mutants:
        start = time.monotonic()
        try:
            verdict = try_mutant(mutant, arguments, known_green)
        except PatchError as error:
            errors += 1
            print(f"ERROR     {mutant.name}: {error}", flush=True)
            continue
        survivors += verdict == "SURVIVED"
        print(f"{verdict:<9} {mutant.name}: {mutant.killer} ({time.monotonic() - start:.1f} s)",
              flush=True)
    print(f"{len(mutants)} mutants, {survivors} survived, {errors} errors")
    return 1 if survivors or errors else 0


if __name__ == "__main__":
    sys.exit(main())
