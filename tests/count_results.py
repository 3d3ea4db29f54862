#!/usr/bin/env python3
"""Counts a CTest JUnit file: prints "PASSED FAILED" and, to stderr, what failed or was skipped.

A GoogleTest program counts as its test cases. A skipped test has failed unless docs/ci.md names it.
"""

import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

ALLOWED = re.compile(r"^\| `?([\w.*-]+)`? \|", re.MULTILINE)


def allowed_skips(document):
    section = document.split("## Tests that may be skipped", 1)[1]
    return {name for name in ALLOWED.findall(section) if name not in ("test", "---")}


def count(case, allowed):
    """(passed, names failed) of one CTest entry."""
    name, text = case.get("name"), case.findtext("system-out") or ""
    if case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
        return (0, []) if name in allowed else (0, [f"{name} (skipped)"])
    cases = re.search(r"\[  PASSED  \] (\d+) tests?\.", text)
    passed = int(cases.group(1)) if cases else 1
    skipped = set(re.findall(r"^\[  SKIPPED \] ([\w/]+\.[\w/]+)", text, re.MULTILINE))
    failed = [f"{name}: {test} (skipped)" for test in sorted(skipped - allowed)]
    if case.find("failure") is not None or case.get("status") != "run":
        tests = sorted(set(re.findall(r"^\[  FAILED  \] ([\w/]+\.[\w/]+)", text, re.MULTILINE)))
        failed += [f"{name}: {test}" for test in tests] or [name]
        passed = passed if cases else 0
    return passed, failed


def main():
    root = pathlib.Path(__file__).resolve().parents[1]
    allowed = allowed_skips((root / "docs/ci.md").read_text(encoding="utf-8"))
    total, failures = 0, []
    for case in ElementTree.parse(sys.argv[1]).iter("testcase"):
        passed, failed = count(case, allowed)
        total += passed
        failures += failed
    for failure in failures:
        print(f"FAILED {failure}", file=sys.stderr)
    print(total, len(failures))


if __name__ == "__main__":
    main()
