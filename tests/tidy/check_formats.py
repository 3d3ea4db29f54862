"""Every parser of foreign bytes has a fuzz target, and every format of ours has its document."""

import re

PARSER = re.compile(r"\b((?:Parse|Decode)(?:[A-Z]\w*)?)\(([^;{]*)\)")
FOREIGN = re.compile(r"\bstring(_view)?\b|span<const std::(byte|uint8_t)>|const char\s*\*")
DOCUMENT = re.compile(r"docs/formats/[\w-]+\.md")


def check(tree):
    problems = []
    targets = "\n".join(tree.read(p) for p in tree.matching(r"tests/fuzz/.*_fuzz\.cc"))
    for path in tree.matching(r"src/(?!app/).*\.h"):  # What app parses, its own user typed.
        for name, arguments in PARSER.findall(tree.code(path)):
            if FOREIGN.search(arguments) and not re.search(rf"\b{name}\b", targets):
                problems.append(f"{path}: {name} takes foreign bytes; no target in tests/fuzz")
    named = {}
    for path in tree.matching(r"src/.*\.(h|cc)"):
        for document in DOCUMENT.findall(tree.read(path)):
            named.setdefault(document, path)
        magic = re.search(r"\bk\w*Magic\b[^;()]*=", tree.code(path))
        header = path.removesuffix(".cc") + ".h" if path.endswith(".cc") else path
        texts = [tree.read(p) for p in {path, header} if p in tree.paths]
        if magic and not any(DOCUMENT.search(text) for text in texts):
            problems.append(f"{path}: has a magic number, so a format; name its docs/formats/ file")
    for document, path in named.items():
        if document not in tree.paths:
            problems.append(f"{path}: names {document}, which does not exist")
    others = tree.matching(r"(examples|bench|tools|tests)/.*\.(h|cc|py)")
    others = "\n".join(tree.read(path) for path in others)
    for document in tree.matching(DOCUMENT.pattern):
        if document not in named and document not in others:
            problems.append(f"{document}: no source names it")
    wire = tree.matching(r"src/wire/.*\.h")
    if wire and not any(DOCUMENT.search(tree.read(path)) for path in wire):
        problems.append("src/wire: no header names its docs/formats/ file")
    return problems
