"""CMake refuses a DEP that is not below: planted in a copy of the tree."""

import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def configure(tree):
    return subprocess.run(["cmake", "-S", str(tree), "-B", str(tree / "build"), "-G", "Ninja"],
                          capture_output=True, text=True, check=False)


class Layers(unittest.TestCase):

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.tree = pathlib.Path(self.folder.name)
        shutil.copy(ROOT / "CMakeLists.txt", self.tree)
        for name in ("cmake", "src", "examples/market", "tools/netlab", "bench"):
            shutil.copytree(ROOT / name, self.tree / name)
        (self.tree / "tests").mkdir()
        (self.tree / "tests/CMakeLists.txt").touch()

    def tearDown(self):
        self.folder.cleanup()

    def plant(self, old, new):
        path = self.tree / "src/config/CMakeLists.txt"
        text = path.read_text()
        self.assertIn(old, text)
        path.write_text(text.replace(old, new))

    def test_the_tree_as_it_is(self):
        done = configure(self.tree)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_an_upward_dep(self):
        self.plant("LAYER 1 ", "LAYER 0 DEPS base ")
        done = configure(self.tree)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("config (layer 0) may not depend on base (layer 0)", done.stderr)

    def test_a_dep_that_comes_later(self):
        self.plant("LAYER 1 ", "LAYER 1 DEPS app ")
        done = configure(self.tree)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("depends on app, which comes later", done.stderr)


if __name__ == "__main__":
    unittest.main()
