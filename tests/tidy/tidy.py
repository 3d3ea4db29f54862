#!/usr/bin/env python3
"""The style that a tool can check: `tidy.py CHECK...`, `tidy.py all`, `tidy.py metrics --write`.

Exit 1 with a line for each problem. CTest runs every check as tidy.CHECK.
"""

import argparse
import pathlib
import sys

import check_calls
import check_files
import check_format
import check_formats
import check_headers
import check_includes
import check_metrics
import check_mutants
import check_size
from tree import Tree

CHECKS = {"includes": check_includes, "headers": check_headers,
          "calls": check_calls, "files": check_files, "format": check_format,
          "formats": check_formats, "metrics": check_metrics, "mutants": check_mutants,
          "size": check_size}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checks", nargs="+", choices=[*CHECKS, "all"])
    parser.add_argument("--root", default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--write", action="store_true", help="write docs/metrics.md")
    options = parser.parse_args()
    tree = Tree(options.root)
    if options.write:
        check_metrics.write(tree)
        tree = Tree(options.root)
    problems = 0
    for name in CHECKS if "all" in options.checks else options.checks:
        for problem in CHECKS[name].check(tree):
            print(f"tidy.{name}: {problem}")
            problems += 1
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
