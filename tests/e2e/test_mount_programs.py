"""Unchanged programs that read in ways of their own: what they find is what they find on disk.

test_mount.py has find, grep, du, tar and rsync; here they run once more where the kernel does not
help a near worker.
"""

import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import harness
import mount_case

MIB = 1 << 20
GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "GIT_PAGER": "cat",
       "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a",
       "GIT_COMMITTER_EMAIL": "a@b", "GIT_OPTIONAL_LOCKS": "0"}

# The database named by its argument, opened in several ways, and all that is in it.
READ_DATABASE = """
import hashlib, sqlite3, sys
for query in ("", "?mode=ro", "?immutable=1", "?mode=ro&cache=shared"):
    for mapped in (0, 1 << 28):
        base = sqlite3.connect(f"file:{sys.argv[1]}{query}", uri=True)
        base.execute(f"PRAGMA mmap_size = {mapped}")
        digest = hashlib.sha256()
        for row in base.execute("SELECT * FROM t ORDER BY length(b), b"):
            digest.update(repr(row).encode())
        print(query, base.execute("PRAGMA integrity_check").fetchall(), digest.hexdigest(),
              base.execute("SELECT count(*) FROM t WHERE k > 500 AND k < 900").fetchall())
        try:
            base.execute("INSERT INTO t VALUES (1, 'x')")
            print("inserted")
        except sqlite3.OperationalError as error:
            print(error)
"""
IMPORT = """
import importlib.resources, sys
import package
from package.inner import deep
print(deep.VALUE, len(package.TABLE), package.__file__, deep.__cached__)
print(importlib.resources.files(package).joinpath("data.txt").read_text())
try:
    import package.none
except ModuleNotFoundError as error:
    print(error)
"""

tree = None  # A directory that all tests read, made once.


def setUpModule():
    global tree
    if not os.path.exists("/dev/fuse") or os.geteuid() != 0:
        raise unittest.SkipTest("needs /dev/fuse and root")
    tree = pathlib.Path(tempfile.mkdtemp(prefix="fb-programs-", dir="/tmp"))
    unittest.addModuleCleanup(shutil.rmtree, tree)
    make_fio_files()
    make_repository()
    make_database()
    make_package()
    harness.await_old(tree)


def fio(directory, rw, name, size, block, *more):
    """The exit code of fio, which reads what it wrote, and what it said."""
    done = subprocess.run(
        ["fio", "--name=x", f"--filename={directory / name}", f"--rw={rw}", f"--size={size}",
         f"--bs={block}", "--verify=crc32c", "--verify_fatal=1", *more],
        capture_output=True, text=True, timeout=120, cwd="/tmp")
    return done.returncode, done.stdout + done.stderr


def make_fio_files():
    (tree / "fio").mkdir()
    for name, size, block in (("fio/large", 9 * MIB, 65_536), ("fio/small", MIB, 4096)):
        code, said = fio(tree, "write", name, size, block, "--do_verify=0",
                         "--create_serialize=0")
        assert code == 0, said
    # One byte of one block is wrong.
    shutil.copy(tree / "fio/small", tree / "fio/wrong")
    with open(tree / "fio/wrong", "r+b") as file:
        file.seek(777_777)
        byte = file.read(1)
        file.seek(777_777)
        file.write(bytes([byte[0] ^ 1]))


def git(repository, *arguments):
    done = subprocess.run(["git", "-C", repository, *arguments], capture_output=True, timeout=120,
                          env=harness.clean_environment("/tmp", GIT))
    return done.returncode, done.stdout, done.stderr


def make_repository():
    own = random.Random(3)
    repository = tree / "repository"
    repository.mkdir()
    assert git(repository, "init", "-q", "-b", "main")[0] == 0
    for commit in range(6):
        for number in range(20):
            path = repository / f"d{number % 4}" / f"f{number}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text("".join(f"{own.randrange(10 ** (1 + commit))}\n" for _ in range(800)))
        (repository / "big.bin").write_bytes(own.randbytes(400_000))
        assert git(repository, "add", "-A")[0] == 0
        assert git(repository, "commit", "-q", "-m", f"commit {commit}")[0] == 0
        if commit == 4:  # The last one stays loose.
            assert git(repository, "gc", "-q")[0] == 0
    (repository / "d1/f1.txt").write_text("not committed\n")


def make_database():
    (tree / "base").mkdir()
    fill = """
import random, sqlite3, sys
own = random.Random(4)
base = sqlite3.connect(sys.argv[1])
base.execute("CREATE TABLE t (k INTEGER, b TEXT)")
base.executemany("INSERT INTO t VALUES (?, ?)",
                 ((i, "%x" % own.getrandbits(1200)) for i in range(8000)))
base.execute("CREATE INDEX i ON t (k)")
base.commit()
"""
    subprocess.run([sys.executable, "-c", fill, str(tree / "base/a.db")], check=True)


def make_package():
    inner = tree / "python/package/inner"
    inner.mkdir(parents=True)
    table = ",\n".join(str(i * i) for i in range(30_000))  # A file that is passed through.
    (inner.parent / "__init__.py").write_text(f"TABLE = [\n{table}]\n")
    (inner.parent / "data.txt").write_text("data\n")
    (inner / "__init__.py").write_text("")
    (inner / "deep.py").write_text("from .. import TABLE\nVALUE = sum(TABLE)\n")


class Programs(mount_case.MountTest):
    flags = ()

    def setUp(self):
        super().setUp()
        self.bind = self.bind_read_only(tree)
        self.mount(f"file://{tree}", *self.flags)

    def both(self, function, *arguments):
        """What a function of a directory says of the mount; the same as of the disk, and the same
        again, when files are whole in a near worker."""
        disk = function(self.bind, *arguments)
        for _ in range(2):
            self.assertEqual(function(self.at, *arguments), disk)
        return disk

    def test_fio_verifies_what_it_wrote(self):
        for name, size, block, *ways in (
                ("fio/small", MIB, 4096, ("randread", "--ioengine=psync")),
                ("fio/large", 9 * MIB, 65_536, ("read", "--ioengine=psync"),
                 ("randread", "--ioengine=mmap"),
                 ("read", "--ioengine=libaio", "--direct=1", "--iodepth=8"))):
            for rw, *more in ways:
                with self.subTest(name=name, rw=rw, more=more):
                    code, said = fio(self.at, rw, name, size, block, "--readonly", *more)
                    self.assertEqual(code, 0, said)
                    self.assertRegex(said, rf"issued rwts: total={size // block},0,0,0")
        code, said = fio(self.at, "randread", "fio/wrong", MIB, 4096, "--readonly")
        self.assertNotEqual(code, 0)
        self.assertRegex(said, r"verify.*at file .*offset 774144")  # The block of the byte.

    def test_git(self):
        pack = next((tree / "repository/.git/objects/pack").glob("*.pack")).relative_to(tree)
        for arguments in (["fsck", "--full", "--strict"], ["log", "-p", "--stat"], ["diff"],
                          ["diff", "HEAD~3", "HEAD"], ["status", "--porcelain"],
                          ["grep", "-c", "77", "HEAD~2"], ["archive", "HEAD"],
                          ["verify-pack", "-s", f"../{pack}"]):
            with self.subTest(arguments[0]):
                code, said, _ = self.both(lambda at, words=arguments: git(at / "repository",
                                                                          *words))
                self.assertEqual((code, said == b""), (0, arguments[0] == "fsck"))
        copy = self.dir / "copy"
        self.assertEqual(git(self.dir, "clone", "-q", "--no-local", self.at / "repository",
                             copy), (0, b"", b""))
        self.assertEqual(git(copy, "rev-parse", "HEAD"), git(tree / "repository", "rev-parse",
                                                             "HEAD"))

    def test_sqlite(self):
        def read(at):
            done = subprocess.run([sys.executable, "-c", READ_DATABASE, at / "base/a.db"],
                                  capture_output=True, text=True, timeout=120, cwd="/")
            return done.returncode, done.stdout, done.stderr
        code, said, _ = self.both(read)
        self.assertEqual(code, 0)
        self.assertEqual(said.count("[('ok',)]"), 8)
        self.assertEqual(said.count("attempt to write a readonly database"), 8)
        self.assertEqual(len(set(re.findall(r"\b[0-9a-f]{64}\b", said))), 1)

    def test_python_imports(self):
        def read(at):
            environment = harness.clean_environment(self.dir, {"PYTHONPATH": str(at / "python")})
            environment.pop("PYTHONDONTWRITEBYTECODE", None)
            done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True,
                                  timeout=120, cwd="/", env=environment)
            return done.returncode, done.stdout.replace(str(at), "AT"), done.stderr
        code, said, errors = self.both(read)
        self.assertEqual((code, errors), (0, ""))
        self.assertIn("8999550005000 30000 AT/python/package/__init__.py", said)
        self.assertEqual(list(tree.rglob("__pycache__")), [])


class Near(Programs):
    flags = ("--near-memory", "64MiB")


class NearAndBuffered(Programs):
    flags = ("--near-memory", "64MiB", "-o", "nopassthrough")

    def test_what_walks_a_tree(self):
        def run(at, *words):
            done = subprocess.run(words, capture_output=True, timeout=120, cwd=at)
            # They list in the order of the directory.
            return done.returncode, sorted(done.stdout.split(b"\n")), done.stderr
        for words in (["find", ".", "-type", "f", "-printf", "%P %s %T@\n"],
                      ["du", "-a", "-b", "."], ["grep", "-r", "-c", "77", "."]):
            with self.subTest(words[0]):
                self.assertEqual(self.both(run, *words)[0], 0)
        self.assertEqual(run("/", "rsync", "-rtcni", f"{tree}/", f"{self.at}/"), (0, [b""], b""))
        subprocess.run(["tar", "-cf", self.dir / "a.tar", "-C", self.at, "."], check=True)
        (self.dir / "out").mkdir()
        subprocess.run(["tar", "-xf", self.dir / "a.tar", "-C", self.dir / "out"], check=True)
        self.assertEqual(run("/", "diff", "-r", tree, self.dir / "out"), (0, [b""], b""))


if __name__ == "__main__":
    unittest.main()
