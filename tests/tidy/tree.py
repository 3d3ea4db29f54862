"""The tracked files of the repository as text, for the checks beside this file."""

import functools
import pathlib
import re
import subprocess

SKIPPED_FOLDERS = {".git", "build", "out", ".cache", "__pycache__"}
LITERAL = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+'",
    re.DOTALL)


def blank(match):
    """Same length and lines; quotes stay, so that a literal still looks like a value."""
    text = match.group(0)
    inner = re.sub(r"[^\n]", " ", text)
    return '"' + inner[1:-1] + '"' if text[0] in "\"R" and len(text) > 1 else inner


class Tree:
    """`root`'s tracked files and new ones not ignored; `planted` replaces or adds files by path."""

    def __init__(self, root, planted=None):
        self.root = pathlib.Path(root)
        self.planted = dict(planted or {})

    @functools.cached_property
    def paths(self):
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=self.root, capture_output=True, check=False)
        if listed.returncode == 0:
            names = [n for n in listed.stdout.decode().split("\0") if n]
        else:  # An exported archive has no git.
            names = [str(p.relative_to(self.root)) for p in self.root.rglob("*") if p.is_file()]
        names = [n for n in names if not SKIPPED_FOLDERS & set(n.split("/"))
                 and (self.root / n).is_file()]
        return sorted(set(names) | set(self.planted))

    def matching(self, pattern):
        """Paths that `pattern` matches whole."""
        return [p for p in self.paths if re.fullmatch(pattern, p)]

    def size(self, path):
        if path in self.planted:
            return len(self.planted[path].encode())
        return (self.root / path).stat().st_size

    @functools.cache
    def read(self, path):
        if path in self.planted:
            return self.planted[path]
        return (self.root / path).read_text(encoding="utf-8", errors="replace")

    @functools.cache
    def code(self, path):
        """C++ with comments and the inside of literals blanked out."""
        return LITERAL.sub(blank, self.read(path))

    def found(self, pattern, path, code=True):
        """(line number, line) wherever `pattern` occurs."""
        text = self.code(path) if code else self.read(path)
        regex = re.compile(pattern)
        return [(i, line) for i, line in enumerate(text.split("\n"), 1) if regex.search(line)]
