"""Calls that have a better way here. Each ban names its replacement."""

import re

import check_size

# (what, where it is banned, where it is not, what to use instead)
SOURCE = r"src/.*\.(h|cc)"
BANS = [
    (r"\bstd::hash\b|\bstd::shuffle\b|\bs?rand\(|<random>|\bstd::\w+_distribution\b",
     r"src/(core|wire)/.*|tests/sim/.*", r"", "base/rng.h: answers must agree everywhere"),
    (r"\bunordered_\w+<", r"src/wire/.*", r"", "an ordered container: its order travels"),
    (r"\bdetach\(|\bstd::j?thread\b(?!::)|\bstd::async\b|\bpthread_create\b", SOURCE,
     r"src/base/task_group\.cc", "TaskGroup"),
    (r"\bsleep_(for|until)\b|\b(u|nano)?sleep\(", SOURCE, r"",
     "a CondVar or poll with a Deadline; in tests a sequence point"),
    (r"\bsystem_clock\b|\bgettimeofday\b|\btime\(nullptr\)", SOURCE, r"src/base/wall_clock\.cc",
     "base/wall_clock.h, or base/deadline.h for durations"),
    (r"\b(secure_)?getenv\b|\bsetenv\b|\benviron\b", SOURCE, r"src/(config|app)/.*",
     "what app passes in"),
    (r"\bv?f?printf\(|\bputs\(|\bstd::(cout|cerr|clog)\b", SOURCE,
     r"src/app/.*|src/base/check\.cc", "Log, or a result for app to print"),
    (r"\bassert\(", SOURCE, r"", "CHECK"),
    (r"\bcatch\s*\(\s*\.\.\.", SOURCE, r"", "the exception of the library that throws"),
    (r"\bthrow\b", SOURCE, r"", "Result"),
    # ISA-L and iovec take no const.
    (r"\bconst_cast\b", SOURCE, r"src/(base/crc32c|io/socket)\.cc", "the right type"),
    (r"\bvolatile\b", SOURCE, r"", "std::atomic"),
    (r"\bstd::(recursive_|shared_|timed_)?mutex\b|\bstd::condition_variable\b"
     r"|\bstd::(lock_guard|unique_lock|scoped_lock)\b", SOURCE, r"src/base/mutex\.h",
     "Mutex, MutexLock and CondVar, which clang checks"),
    (r"(?<![\w:.>])(std::)?system\(|\bpopen\(", SOURCE, r"",
     "posix_spawn with an argument list: no shell"),
    (r"\bco_(await|return|yield)\b|\bstd::(format|print)\(", SOURCE, r"", "threads; fmt"),
    (r"\w+ForTesting\b|\bFRIEND_TEST\b|\bGTEST_SKIP\b", SOURCE, r"",
     "a seam; a test that always runs"),
    (r"^\s*#\s*if(?!ndef NDEBUG)", r"src/.*\.(h|cc)", r"src/(base|io)/.*", "a choice at run time"),
]
THROWING_LIBRARY = re.compile(
    r"#\s*include\s+<(yaml-cpp|nlohmann|CLI|httplib|pugixml|filesystem|stdexcept)\b")
MUTEX = re.compile(r"\bMutex (\w+)\b[^;(]*;")


def check(tree):
    problems = []
    for pattern, where, except_in, instead in BANS:
        for path in tree.matching(where):
            if except_in and re.fullmatch(except_in, path):
                continue
            for number, line in tree.found(pattern, path):
                problems.append(f"{path}:{number}: {line.strip()[:80]}: use {instead}")
    for path in tree.matching(SOURCE):
        code = tree.code(path)
        if re.search(r"\bcatch\s*\(", code) and not THROWING_LIBRARY.search(tree.read(path)):
            problems.append(f"{path}: catches, but includes no library that throws")
        if path == "src/base/mutex.h":
            continue
        bodies = [(first, last) for first, last, _ in check_size.functions(code)]
        for match in MUTEX.finditer(code):
            name, line = match.group(1), code.count("\n", 0, match.start()) + 1
            if any(first < line <= last for first, last in bodies):
                continue  # clang takes GUARDED_BY for fields only.
            if not re.search(rf"\b(PT_)?GUARDED_BY\({name}\)", code):
                problems.append(f"{path}: mutex {name} guards nothing: no GUARDED_BY({name})")
    return problems
