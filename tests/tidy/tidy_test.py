"""Every check is shown what it must refuse, planted into the tree as it is, and must name it."""

import pathlib
import tempfile
import unittest

import check_calls
import check_files
import check_format
import check_formats
import check_headers
import check_includes
import check_metrics
import check_size
from tree import Tree

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEAD = "#pragma once\n"
LIBRARY = "forebay_library(core LAYER 1 SOURCES planted.cc)"


class Planted(unittest.TestCase):

    def assert_refused(self, check, path, text, naming):
        """`check` has a problem that names `naming` once `text` is at `path`, and none before."""
        with tempfile.TemporaryDirectory() as root:
            base = {"src/core/CMakeLists.txt": LIBRARY, "src/base/CMakeLists.txt":
                    "forebay_library(base LAYER 0 SOURCES x.cc)", "docs/metrics.md": ""}
            base["docs/metrics.md"] = check_metrics.document(Tree(root, base))
            before = [p for p in check.check(Tree(root, base)) if naming in p]
            after = [p for p in check.check(Tree(root, {**base, path: text})) if naming in p]
        self.assertEqual(before, [])
        self.assertTrue(after, f"not refused: {text!r}")

    def test_an_upward_include_in_this_tree(self):
        path = "src/base/units.h"
        text = Tree(ROOT).read(path) + '#include "core/ids.h"\n'
        problems = check_includes.check(Tree(ROOT, {path: text}))
        self.assertTrue([p for p in problems if p.startswith(path) and "core/ids.h" in p], problems)

    def test_a_sideways_include(self):
        self.assert_refused(check_includes, "src/core/a.h", HEAD + '#include "config/settings.h"\n',
                            "config/settings.h")

    def test_a_clock_in_core(self):
        for line in ("#include <thread>", '#include "base/log.h"', "#include <sys/stat.h>"):
            self.assert_refused(check_includes, "src/core/a.cc", line + "\n", "core has no")

    def test_a_heavy_library_in_a_header(self):
        self.assert_refused(check_includes, "src/core/a.h", "#include <nlohmann/json.hpp>\n",
                            "a .cc")

    def test_a_header_that_needs_another(self):
        self.assert_refused(check_headers, "src/core/a.h", HEAD + "std::string Name();\n", "alone")

    def test_a_type_that_another_header_defines(self):
        tree = Tree(ROOT, {"src/worker/a.h": HEAD + "class Client {};\n"})
        problems = list(check_headers.repeated_types(tree))
        self.assertEqual(problems, ["src/worker/a.h: defines Client, which src/client/client.h "
                                    "defines, too"])

    def test_sizes(self):
        body = "".join(f"  int v{i} = {i};\n" for i in range(69))
        for text, naming in (
                ("void Fits() {\n" + body[:body.rfind("  int")] + "}\n"
                 "void Long() {\n" + body + "}\n", "Long: 71 lines"),
                ("A::A(int x) : a_{x}, b_(x) {\n" + body + body + "}\n", "lines, at most 70"),
                ("int F(int a, int b, int c,\n      std::map<int, int> d, int e, int f, int g);\n",
                 "7 parameters"),
                ("#include <a>\n" * 21, "21 includes"), ("// \n" * 701, "701 lines"),
                ("// " + "x" * 98 + "\n", "101 columns")):
            self.assert_refused(check_size, "src/core/a.cc", text, naming)
        self.assert_refused(check_size, "src/core/a.h", "// \n" * 401, "401 lines")
        self.assert_refused(check_size, "tests/a.py", "def f():\n" + "    x = 1\n" * 70,
                            "71 lines")
        text = "R F(std::map<int, int> a, std::function<R(A, B)> b)"
        self.assertEqual(check_size.parameters(text), 2)

    def test_banned_calls(self):
        for line in ("std::hash<int> h;", "std::thread t(f);", "t.detach();", "sleep_for(1s);",
                     "std::chrono::system_clock::now();", 'getenv("X");', 'printf("x");',
                     "std::cout << x;", "assert(x);", "throw Bad();", "const_cast<char*>(x);",
                     "volatile int x;", "std::mutex m;", 'system("ls");', "co_return 1;",
                     "FooForTesting();", "#if FEATURE"):
            self.assert_refused(check_calls, "src/core/a.cc", line + "\n", "src/core/a.cc:1: ")
        for text, naming in (("try { F(); } catch (...) {}\n", "a.cc:1"),
                             ("try { F(); } catch (E& e) {}\n", "catches"),
                             ("class A {\n  void F() {}\n  Mutex mutex_;\n  int x_;\n};\n",
                              "mutex_ guards nothing")):
            self.assert_refused(check_calls, "src/core/a.cc", text, naming)

    def test_a_ban_does_not_hold_in_comments_and_literals(self):
        text = '// throw, assert(x)\nconst char* kText = "throw assert(x)";\n'
        self.assertEqual(check_calls.check(Tree(ROOT / "docs", {"src/core/a.cc": text})), [])

    def test_a_mutex_of_one_function_needs_no_annotation(self):
        text = "void F() {\n  Mutex mutex;\n  MutexLock lock(mutex);\n}\n"
        self.assertEqual(check_calls.check(Tree(ROOT / "docs", {"src/core/a.cc": text})), [])

    def test_files(self):
        for path, text, naming in (
                ("src/core/lost.cc", "", "lost.cc: no CMakeLists.txt"),
                ("src/core/lost.h", HEAD, "nobody includes"),
                ("docs/a.md", "# A\n\n# B\n", "2 titles"), ("docs/a.md", "text\n", "0 titles"),
                ("docs/a.md", "# A\n`src/core/nothing.h`\n", "does not exist"),
                ("STYLE.md", "# A\n" + "\n" * 120, "longer than 120"),
                ("docs/a.svg", "x" * (257 << 10), "at most 262144"),
                ("src/core/a.cc", "// FIX" "ME\n", "loose end"),
                ("src/core/a.cc", "// TO" "DO: later\n", "loose end"),
                ("docs/a.md", "# A\n/wo" "rk/x\n", "belongs elsewhere")):
            self.assert_refused(check_files, path, text, naming)

    def test_parsers_and_formats(self):
        for text, naming in (
                ("Result<X> ParseThing(std::string_view text);\n", "ParseThing"),
                ("Result<X> DecodeThing(std::span<const std::byte> bytes);\n", "DecodeThing"),
                ("constexpr int kThingMagic = 1;\n", "magic"),
                ("// docs/formats/thing.md\n", "docs/formats/thing.md")):
            self.assert_refused(check_formats, "src/core/a.h", text, naming)
        self.assert_refused(check_formats, "docs/formats/a.md", "# A\n", "no source")
        self.assert_refused(check_formats, "src/wire/a.h", HEAD, "src/wire")

    def test_metrics(self):
        for text, naming in (
                ('Metrics().AddCounter("forebay_x_total", "X.");\n', "docs/metrics.md"),
                ('Metrics().AddCounter("forebay_x", "X.");\n', "forebay_x: a counter"),
                ('Metrics().AddHistogram(\n    "x_seconds", "X.");\n', "x_seconds: a histogram")):
            self.assert_refused(check_metrics, "src/core/a.cc", text, naming)
        self.assert_refused(check_metrics, "docs/a.md", "# A\nforebay_no_such_" "total\n",
                            "no such")
        text = 'AddCounter("forebay_x_total", "A "\n "B.", {{"k", v}, {"l", "w"}});\n'
        metrics = check_metrics.declared(Tree(ROOT / "docs", {"src/core/a.cc": text}))
        self.assertEqual(metrics["forebay_x_total"],
                         ("counter", "A B.", {"k", "l"}, "src/core/a.cc"))

    def test_a_metric_that_is_written_out(self):
        text = ('"# HELP forebay_x_ratio A B.\\n"\n    "# TYPE forebay_x_ratio gauge\\n";\n'
                'fmt::format("forebay_x_ratio{{a=\\"{}\\",b=\\"{}\\"}} {}\\n");\n')
        metrics = check_metrics.declared(Tree(ROOT / "docs", {"src/core/a.cc": text}))
        self.assertEqual(metrics["forebay_x_ratio"], ("gauge", "A B.", {"a", "b"}, "src/core/a.cc"))
        self.assert_refused(check_metrics, "src/core/a.cc", text, "docs/metrics.md")

    def test_format(self):
        self.assert_refused(check_format, "src/core/a.cc", "int  x;\n", "src/core/a.cc")


if __name__ == "__main__":
    unittest.main()
