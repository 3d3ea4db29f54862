"""Completion, as a real shell asks for it."""

import os
import pty
import shutil
import subprocess
import time
import unittest

import harness
from fake_control import FakeControl, dataset, load

DRIVER = """
source <(forebay completion bash)
COMP_LINE="$1" COMP_POINT=${#1}
COMPREPLY=()
_forebay
printf '%s\n' "${COMPREPLY[@]}"
"""


class Completion(harness.ForebayTest):
    def setUp(self):
        super().setUp()
        (self.dir / "bin").mkdir()
        (self.dir / "bin" / "forebay").symlink_to(harness.BINARY)
        self.env = harness.clean_environment(self.dir, {
            "FOREBAY_STATE_DIR": str(self.state),
            "PATH": f"{self.dir}/bin:{os.environ['PATH']}"})

    def complete(self, line):
        done = subprocess.run(["bash", "--norc", "-c", DRIVER, "bash", line], capture_output=True,
                              env=self.env, timeout=30)
        self.assertEqual(done.stderr, b"")
        return done.stdout.decode().split()

    def test_verbs_flags_and_values(self):
        self.assertIn("status", self.complete("forebay "))
        self.assertEqual(self.complete("forebay dataset "), ["create", "delete", "refresh", "show"])
        self.assertEqual(self.complete("forebay dat"), ["dataset", "datasets"])
        self.assertEqual(self.complete("forebay load-r"), ["load-resume"])
        self.assertEqual(self.complete("forebay load p --thr"), ["--throttle"])
        self.assertEqual(self.complete("forebay status -o js"), ["json"])
        self.assertEqual(self.complete("forebay status --output "),
                         ["json", "yaml", "wide", "table", "name"])
        # bash replaces what stands after '='.
        self.assertEqual(self.complete("forebay status --output=y"), ["yaml"])
        self.assertEqual(self.complete("forebay completion z"), ["zsh"])
        self.assertEqual(self.complete("forebay help dataset s"), ["show"])
        self.assertEqual(self.complete("forebay apply -f "), [])
        self.assertEqual(self.complete("forebay bogus "), [])

    def test_no_hidden_verb_is_shown(self):
        self.assertEqual(self.complete("forebay comple"), ["completion"])
        self.assertEqual(self.complete("forebay bench "), ["fill", "read"])

    def test_names_come_from_the_running_group(self):
        self.assertEqual(self.complete("forebay load p"), [])
        FakeControl(self, answers={
            "GET /v1/datasets": {"datasets": [dataset("prices"), dataset("ticks"),
                                              dataset("pairs", namespace="team")]},
            "GET /v1/loads": {"loads": [load("7f3a"), load("77", "Complete")]}})
        self.assertEqual(self.complete("forebay load p"), ["prices", "pairs.team"])
        self.assertEqual(self.complete("forebay wait --cached 1 t"), ["ticks"])
        self.assertEqual(self.complete("forebay dataset show "), ["prices", "ticks", "pairs.team"])
        self.assertEqual(self.complete("forebay load-pause 7"), ["7f3a"])
        self.assertEqual(self.complete("forebay load prices p"), [])

    def test_at_a_prompt(self):
        rc = self.dir / "rc"
        rc.write_text("PS1='> '\nsource <(forebay completion bash)\n"
                      "bind 'set enable-bracketed-paste off'\n")
        pid, fd = pty.fork()
        if pid == 0:
            os.execvpe("bash", ["bash", "--noprofile", "--rcfile", str(rc), "-i"],
                       {**self.env, "TERM": "dumb"})

        def until(text, timeout=20):
            seen, deadline = b"", time.monotonic() + timeout
            os.set_blocking(fd, False)
            while text not in seen and time.monotonic() < deadline:
                try:
                    seen += os.read(fd, 4096)
                except BlockingIOError:
                    time.sleep(0.02)
            self.assertIn(text, seen)
        try:
            until(b"> ")
            os.write(fd, b"forebay vers\t-o js\t")
            until(b"forebay version -o json ")
        finally:
            os.close(fd)
            os.waitpid(pid, 0)

    def test_other_shells_take_their_scripts(self):
        for shell, argv in (("zsh", ["zsh", "-n"]), ("fish", ["fish", "--no-execute"])):
            script = self.run_forebay("completion", shell)
            self.check(script, 0)
            self.assertIn(b"complete -- ", script.out)
            if not shutil.which(shell):
                continue
            path = self.dir / f"script.{shell}"
            path.write_bytes(script.out)
            done = subprocess.run([*argv, str(path)], capture_output=True)
            self.assertEqual((done.returncode, done.stderr), (0, b""))


if __name__ == "__main__":
    unittest.main()
