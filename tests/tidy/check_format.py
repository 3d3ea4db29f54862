"""C++ is formatted as .clang-format says, by the one version that the project uses."""

import shutil
import subprocess

FORMATTER = "clang-format-19"


def check(tree):
    if not shutil.which(FORMATTER):
        return [f"{FORMATTER} is not installed; tools/setup/packages installs it"]
    paths = tree.matching(r"(src|include|tests|bench|examples)/.*\.(h|cc)")
    planted = {p for p in paths if p in tree.planted}
    done = subprocess.run([FORMATTER, "--dry-run", *(p for p in paths if p not in planted)],
                          cwd=tree.root, capture_output=True, text=True, check=False)
    wrong = {line.split(":")[0] for line in done.stderr.split("\n")
             if "clang-format-violations" in line}
    for path in planted:
        done = subprocess.run([FORMATTER, f"--assume-filename={path}"], input=tree.read(path),
                              cwd=tree.root, capture_output=True, text=True, check=False)
        if done.stdout != tree.read(path):
            wrong.add(path)
    return [f"{path}: run {FORMATTER} -i on it" for path in sorted(wrong)]
