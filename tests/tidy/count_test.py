"""count_results.py: nothing that did not pass is counted as passed."""

import pathlib
import sys
import unittest
import xml.etree.ElementTree as ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import count_results  # pylint: disable=wrong-import-position


def counted(status, inside="", output="", allowed=frozenset()):
    case = (f'<testcase name="t" status="{status}">{inside}'
            f"<system-out>{output}</system-out></testcase>")
    return count_results.count(ElementTree.fromstring(case), allowed)


class Count(unittest.TestCase):

    def test_one_entry(self):
        self.assertEqual(counted("run"), (1, []))
        self.assertEqual(counted("fail", "<failure/>"), (0, ["t"]))
        self.assertEqual(counted("disabled"), (0, ["t (skipped)"]))
        self.assertEqual(counted("notrun", "<skipped/>"), (0, ["t (skipped)"]))
        self.assertEqual(counted("notrun", "<skipped/>", allowed={"t"}), (0, []))

    def test_cases_of_googletest(self):
        passed = "[  PASSED  ] 36 tests.\n"
        self.assertEqual(counted("run", "", passed), (36, []))
        skipped = passed + "[  SKIPPED ] 1 test, listed below:\n[  SKIPPED ] A.Skip\n"
        self.assertEqual(counted("run", "", skipped), (36, ["t: A.Skip (skipped)"]))
        self.assertEqual(counted("run", "", skipped, {"A.Skip"}), (36, []))
        failed = passed + "[  FAILED  ] 1 test, listed below:\n[  FAILED  ] A.Fail\n"
        self.assertEqual(counted("fail", "<failure/>", failed), (36, ["t: A.Fail"]))

    def test_a_program_that_fails_after_its_cases_passed(self):
        self.assertEqual(counted("fail", "<failure/>", "[  PASSED  ] 3 tests.\n"), (3, ["t"]))

    def test_the_list_in_the_document(self):
        text = ("## Tests that may be skipped\n\n| test | reason |\n|---|---|\n"
                "| `A.Skip` | no huge pages |\n")
        self.assertEqual(count_results.allowed_skips(text), {"A.Skip"})


if __name__ == "__main__":
    unittest.main()
