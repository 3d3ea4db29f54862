"""Every header compiles alone (build/tidy remembers, by contents, what did); no type twice."""

import concurrent.futures
import hashlib
import pathlib
import re
import subprocess

# At the first column: what is nested or in an unnamed namespace of a source is nobody else's.
TYPE = re.compile(r"^(?:class|struct|enum class|union) (?:\S+ )*?(\w+)(?: final)?(?: :[^;{]*)? \{",
                  re.MULTILINE)
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def closure(tree, header, seen):
    """`header` and all of ours that it includes."""
    if header in seen or header not in tree.paths:
        return seen
    seen.add(header)
    for name in INCLUDE.findall(tree.read(header)):
        closure(tree, "src/" + name, seen)
    return seen


def compile_alone(tree, header):
    command = ["c++", "-std=c++23", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-x", "c++",
               "-I", str(tree.root / "src"), "-"]
    unit = f'#include "{header.removeprefix("src/")}"\n'
    if header in tree.planted:
        unit = tree.read(header).replace("#pragma once", "")
    done = subprocess.run(command, input=unit, capture_output=True, text=True, check=False)
    lines = [line for line in done.stderr.split("\n") if "error" in line]
    return "" if done.returncode == 0 else f"{header}: does not compile alone: {lines[0][:200]}"


def repeated_types(tree):
    """Two types of one name are one type to the linker: it takes either's functions for both."""
    first = {}
    for header in tree.matching(r"(src|include)/.*\.h"):
        for name in TYPE.findall(tree.read(header)):
            if first.setdefault(name, header) != header:
                yield f"{header}: defines {name}, which {first[name]} defines, too"


def check(tree):
    cache = pathlib.Path(tree.root) / "build/tidy/headers"
    cache.mkdir(parents=True, exist_ok=True)
    waiting = {}
    for header in tree.matching(r"(src|include)/.*\.h"):
        text = "".join(path + tree.read(path) for path in sorted(closure(tree, header, set())))
        mark = cache / hashlib.sha256((header + "\0" + text).encode()).hexdigest()
        if not mark.exists():
            waiting[header] = mark
    problems = list(repeated_types(tree))
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for header, problem in zip(waiting, pool.map(lambda h: compile_alone(tree, h), waiting)):
            if problem:
                problems.append(problem)
            else:
                waiting[header].touch()
    return problems
