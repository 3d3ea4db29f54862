"""Files: known to the build, small, well titled, without loose ends or words out of place."""

import os.path
import re
import subprocess

BLOB_BYTES = 256 << 10
LINES_MAX = {"ARCHITECTURE.md": 200, "STYLE.md": 120}
# In pieces, so that this file passes its own check.
LOOSE_ENDS = re.compile(r"\bFIX" r"ME\b|\bX" r"XX\b|\bTO" r"DO\b(?!\(#\d+\))")
ELSEWHERE = re.compile(
    "|".join([r"(?<![\w.])/wo" r"rk/", r"cla" r"ude\b", r"anthr" r"opic", r"open" r"ai\b",
              r"co" r"pilot", r"chat" r"gpt", r"\bL" r"LM\b", r"\bsub-?ag" r"ent",
              r"pythonhos" r"ted", r"proxy\.gol" r"ang", r"registry\.np" r"mjs", r"deb\.deb" r"ian",
              r"static\.cra" r"tes", r"crates\.i" r"o\b"]), re.IGNORECASE)
NAMED_PATH = re.compile(r"`((?:src|docs|tests|bench|tools|cmake|examples|python|deploy)/[\w./-]+)`")
BINARY = re.compile(r".*\.(png|svg|gz|bin|zst)|tests/fuzz/corpus/.*")


def build_problems(tree):
    """Every source is named by the CMakeLists.txt above it; every header is included by someone."""
    included = set()
    helpers = "\n".join(tree.read(p) for p in tree.matching(r"cmake/.*\.cmake"))
    for path in tree.matching(r"(src|include|tests|bench|examples)/.*\.(h|cc)"):
        included.update(re.findall(r'#\s*include\s+["<]([^">]+)[">]', tree.read(path)))
    for path in tree.matching(r"(src|tests|bench|examples)/.*\.(cc|h)"):
        folder, name = os.path.split(path)
        if path.endswith(".h"):
            if not any(path.endswith("/" + i) for i in included):
                yield f"{path}: nobody includes it"
            continue
        while folder and f"{folder}/CMakeLists.txt" not in tree.paths:
            folder = os.path.dirname(folder)
        listing = tree.read(f"{folder}/CMakeLists.txt") if folder else ""
        generated = path.startswith("tests/fuzz/") and name.endswith("_fuzz.cc")
        wanted = rf'"{name.removesuffix("_fuzz.cc")} ' if generated else rf"\b{re.escape(name)}\b"
        if not re.search(wanted, listing) and name not in helpers:
            yield f"{path}: no CMakeLists.txt names it"


def markdown_problems(tree):
    for path in tree.matching(r".*\.md"):
        text = re.sub(r"^```.*?^```", "", tree.read(path), flags=re.DOTALL | re.MULTILINE)
        titles = re.findall(r"^# ", text, re.MULTILINE)
        if len(titles) != 1 or not text.startswith("# "):
            yield f"{path}: {len(titles)} titles; one, on the first line"
        if tree.read(path).count("\n") > LINES_MAX.get(path, 10_000):
            yield f"{path}: longer than {LINES_MAX[path]} lines"
        folders = {os.path.dirname(p) for p in tree.paths}
        for name in NAMED_PATH.findall(text):
            plain = name.rstrip("/.")
            known = plain in tree.paths or plain in folders
            if not known and not any(f.startswith(plain + "/") for f in folders):
                yield f"{path}: names {name}, which does not exist"


def text_problems(tree):
    for path in tree.paths:
        if tree.size(path) > BLOB_BYTES:
            yield f"{path}: {tree.size(path)} bytes, at most {BLOB_BYTES}"
        elif not BINARY.fullmatch(path):
            for number, line in tree.found(LOOSE_ENDS.pattern, path, code=False):
                yield f"{path}:{number}: a loose end without an issue: {line.strip()[:60]}"
            for number, line in enumerate(tree.read(path).split("\n"), 1):
                if ELSEWHERE.search(line) or ELSEWHERE.search(path):
                    yield f"{path}:{number}: names something that belongs elsewhere"


def message_problems(tree):
    log = subprocess.run(["git", "log", "-50", "--format=%h %B"], cwd=tree.root,
                         capture_output=True, text=True, check=False)
    for line in log.stdout.split("\n"):
        if ELSEWHERE.search(line):
            yield f"a commit message names something that belongs elsewhere: {line[:60]}"


def check(tree):
    return [*build_problems(tree), *markdown_problems(tree), *text_problems(tree),
            *message_problems(tree)]
