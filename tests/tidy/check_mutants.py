"""Every mutant still applies: a guard that was rewritten keeps its test."""

import subprocess


def check(tree):
    problems = []
    for path in tree.matching(r"tests/mutants/.*\.patch"):
        done = subprocess.run(["git", "apply", "--check", path], cwd=tree.root, check=False,
                              capture_output=True, text=True)
        if done.returncode != 0:
            problems.append(f"{path}: {done.stderr.strip()}")
    return problems
