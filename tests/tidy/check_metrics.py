"""docs/metrics.md lists the metrics that src declares; `tidy.py metrics --write` makes it."""

import re

DECLARED = re.compile(
    r'\b(AddCounter|AddHistogram|SetGauge)\(\s*"(\w+)"\s*,\s*((?:"(?:\\.|[^"\\])*"\s*)+)'
    r'(,\s*\{\s*\{.*?\}\s*\})?',
    re.DOTALL)
# What is written out without a registry: `"# HELP NAME TEXT\n" "# TYPE NAME TYPE\n"`, and a line.
WRITTEN = re.compile(r'"# HELP (\w+) ([^"\\]*)\\n"\s*"# TYPE \1 (\w+)\\n"')
TYPES = {"AddCounter": "counter", "AddHistogram": "histogram", "SetGauge": "gauge"}
SUFFIXES = {"counter": ("_total",), "histogram": ("_seconds", "_bytes"),
            "gauge": ("_bytes", "_ratio", "_seconds", "_info", "_count")}
USED = re.compile(r"\bforebay_[a-z0-9_]+_(?:total|seconds|bytes|ratio|info)\b")
DOCUMENT = "docs/metrics.md"


def declared(tree):
    """{name: (type, help, labels, file)}"""
    metrics = {}
    for path in tree.matching(r"src/.*(?<!_test)\.(cc|h)"):
        for call, name, text, labels in DECLARED.findall(tree.read(path)):
            if path == "src/base/metrics.h":
                continue  # Its comment shows an example.
            words = "".join(re.findall(r'"((?:\\.|[^"\\])*)"', text))
            keys = set(re.findall(r'\{\s*"(\w+)"\s*,', labels))
            known = metrics.get(name)
            keys |= known[2] if known else set()
            metrics[name] = (TYPES[call], words, keys, path)
        for name, words, kind in WRITTEN.findall(tree.read(path)):
            line = re.search(rf'"{name}\{{\{{(.*?)\}}\}}', tree.read(path))
            keys = set(re.findall(r'(\w+)=', line.group(1))) if line else set()
            metrics[name] = (kind, words, keys, path)
    return metrics


def document(tree):
    lines = ["# Metrics", "",
             "Prometheus text format, from `/metrics` of a worker and of control, which adds those",
             "of all workers. Generated from the sources by `tests/tidy/tidy.py metrics --write`;",
             "a test holds the two together.", "",
             "| name | type | labels | meaning | declared in |", "|---|---|---|---|---|"]
    for name, (kind, text, labels, path) in sorted(declared(tree).items()):
        shown = ", ".join(f"`{label}`" for label in sorted(labels))
        lines.append(f"| `{name}` | {kind} | {shown} | {text} | `{path}` |")
    return "\n".join(lines) + "\n"


def write(tree):
    (tree.root / DOCUMENT).write_text(document(tree), encoding="utf-8")


def check(tree):
    metrics = declared(tree)
    problems = []
    for name, (kind, _, _, path) in metrics.items():
        if not name.startswith("forebay_") or not name.endswith(SUFFIXES[kind]):
            problems.append(f"{path}: {name}: a {kind} is forebay_<noun>{'|'.join(SUFFIXES[kind])}")
    if DOCUMENT not in tree.paths or tree.read(DOCUMENT) != document(tree):
        problems.append(f"{DOCUMENT}: not what src declares; tests/tidy/tidy.py metrics --write")
    documents = r"(docs/(?!decisions).*|\w+)\.md"
    for path in tree.matching(documents + r"|tests/(e2e|fault)/.*|examples/.*\.py"):
        for number, line in tree.found(USED.pattern, path, code=False):
            for name in USED.findall(line):
                if name not in metrics:
                    problems.append(f"{path}:{number}: {name}: src declares no such metric")
    return problems
