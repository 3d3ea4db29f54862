"""Every #include of src/FOLDER lies in the DEPS that its CMakeLists.txt names."""

import re

LIBRARY = re.compile(r"forebay_library\(\s*(\w+)\s+LAYER\s+(\d+)(.*?)\)", re.DOTALL)
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')
# core decides; it has no clock, no threads, no I/O and no chance.
NOT_IN_CORE = re.compile(
    r"<(thread|mutex|shared_mutex|condition_variable|atomic|future|random|fstream|iostream"
    r"|filesystem|unistd\.h|fcntl\.h|poll\.h|sys/.*|netinet/.*|curl/.*)>"
    r'|"base/(mutex|task_group|bounded_queue|log|metrics|wall_clock)\.h"')
# Heavy libraries stay behind one .cc each.
NOT_IN_HEADERS = re.compile(
    r"<(nlohmann(?!/json_fwd)|yaml-cpp|CLI|openssl|curl|pugixml|isa-l|httplib|iostream|regex)\b.*>")


def dependencies(tree):
    """{folder: set of folders it may include}, as declared."""
    allowed = {}
    for path in tree.matching(r"src/\w+/CMakeLists\.txt"):
        for name, _, rest in LIBRARY.findall(tree.read(path)):
            words = rest.split()
            deps = []
            if "DEPS" in words:
                for word in words[words.index("DEPS") + 1:]:
                    if word.isupper():
                        break
                    deps.append(word)
            allowed[name] = {name, "base", *deps}
    return allowed


def check(tree):
    allowed = dependencies(tree)
    problems = []
    for path in tree.matching(r"src/\w+/.*\.(h|cc)"):
        folder = path.split("/")[1]
        if folder not in allowed:
            continue  # check_files reports a source that CMake does not know.
        for number, line in enumerate(tree.read(path).split("\n"), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            where = f"{path}:{number}"
            target = match.group(2).split("/")[0]
            if match.group(1) == '"' and target not in allowed[folder]:
                problems.append(f"{where}: {folder} may not include {match.group(2)}; its DEPS are "
                                f"{' '.join(sorted(allowed[folder] - {folder}))}")
            if folder == "core" and not path.endswith("_test.cc") and NOT_IN_CORE.search(line):
                problems.append(f"{where}: core has no clock, threads or I/O: {line.strip()}")
            if path.endswith(".h") and NOT_IN_HEADERS.search(line):
                problems.append(f"{where}: belongs into a .cc: {line.strip()}")
    return problems
