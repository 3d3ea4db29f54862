"""Usage: what every verb says about wrong input, and with which exit code."""

import unittest

import harness

VERBS = ["worker", "cat", "stat", "ls", "cp", "verify", "explain", "bench read",
         "bench fill"]


class Usage(harness.ForebayTest):
    def test_wrong_usage_is_exit_2_and_says_what_would_do(self):
        missing = str(self.dir / "none.yaml")
        (self.dir / "bad.yaml").write_text("members: 7\n")
        bad = str(self.dir / "bad.yaml")
        cases = [
            ([], ["no verb", "--help"]),
            (["bake"], ['"bake"', "no such verb"]),
            (["bench"], ["bench read URL"]),
            (["cat"], ["cat: arguments are missing", "cat URL"]),
            (["cat", "s3:/b"], ['cat: "s3:/b": not a URL', "s3://BUCKET"]),
            (["cat", "ftp://x/y"], ["cat:", "ftp"]),
            (["cat", "file:///x", "--membrs", "m"], ["cat: --membrs: no such flag"]),
            (["cat", "file:///x", "--members", missing], ["cat: --members", missing]),
            (["cat", "file:///x", "--members", bad], ["cat: --members", bad]),
            (["cat", "file:///x", "--read-timeout", "soon"], ["--read-timeout", '"soon"', "60s"]),
            (["cat", "file:///x", "--read-timeout", "0"], ["--read-timeout", "30s"]),
            (["cat", "file:///x", "--option", "fast"], ["--option", '"fast"', "KEY=VALUE"]),
            (["cat", "file:///x", "--option", "colour=red"], ["colour"]),
            (["cat", "s3://b/x", "--option", "secret-access-key=s"], ["AWS_SECRET_ACCESS_KEY"]),
            (["ls", "file:///x", "-o", "xml"], ['ls: --output "xml"', "json"]),
            (["stat", "file:///x", "--output=xml"], ['stat: --output "xml"']),
            (["cp", "file:///x"], ["cp: arguments are missing"]),
            (["cp", "file:///x", "/tmp", "--progress", "loud"], ['--progress "loud"']),
            (["verify", "file:///x"], ["verify: --members is missing"]),
            (["bench", "read", "file:///x", "--tasks", "0"], ["bench read: --tasks 0"]),
            (["bench", "read", "file:///x", "--tasks", "-1"], ["--tasks", '"-1"']),
            (["bench", "read", "file:///x", "-o", "yaml"], ['--output "yaml"']),
            (["bench", "fill", "file:///x"], ["bench fill: --members is missing"]),
            (["worker"], ["worker: --name is missing"]),
            (["worker", "stray"], ['"stray"']),
            (["--members"], ["--members"]),
        ]
        for arguments, texts in cases:
            with self.subTest(arguments=arguments):
                outcome = self.run_forebay(*arguments)
                self.check(outcome, 2, *texts)
                self.assertEqual(outcome.out, b"")
                self.assertEqual(outcome.err.count("\n"), 1, outcome.err)

    def test_secrets_are_not_echoed(self):
        outcome = self.run_forebay("cat", "s3://b/x", "--option", "session-token=hunter2")
        self.check(outcome, 2)
        self.assertNotIn("hunter2", outcome.err)

    def test_every_verb_has_help(self):
        for verb in VERBS:
            for flag in ("--help", "-h"):
                with self.subTest(verb=verb, flag=flag):
                    outcome = self.run_forebay(*verb.split(), flag)
                    self.check(outcome, 0)
                    self.assertIn(f"forebay {verb}", outcome.out.decode())
        overview = self.run_forebay("--help")
        self.check(overview, 0)
        for verb in VERBS:
            self.assertIn(verb, overview.out.decode())

    def test_version(self):
        outcome = self.run_forebay("--version")
        self.check(outcome, 0)
        self.assertRegex(outcome.out.decode(), r"^forebay \d+\.\d+\.\d+\n$")


class Configuration(harness.ForebayTest):
    def printed(self, *arguments, env=None):
        outcome = self.run_forebay("cat", "file:///x", "--print-config", *arguments, env=env)
        self.check(outcome, 0)
        return dict(line.split(": ", 1) for line in outcome.out.decode().splitlines())

    def test_flag_over_environment_over_file_over_default(self):
        self.assertEqual(self.printed()["read-timeout"], "30s  # default")
        config = self.dir / ".config/forebay/config.yaml"
        config.parent.mkdir(parents=True)
        config.write_text("read-timeout: 1s\n")
        self.assertIn("1s  # file", self.printed()["read-timeout"])
        env = {"FOREBAY_READ_TIMEOUT": "2s"}
        self.assertEqual(self.printed(env=env)["read-timeout"],
                         "2s  # environment FOREBAY_READ_TIMEOUT")
        self.assertEqual(self.printed("--read-timeout=3s", env=env)["read-timeout"],
                         "3s  # flag --read-timeout")

    def test_a_config_file_can_be_named(self):
        (self.dir / "c.yaml").write_text("region: x\n")
        self.assertIn("x  # file", self.printed("--config", self.dir / "c.yaml")["region"])
        env = {"FOREBAY_CONFIG": str(self.dir / "c.yaml")}
        self.assertIn("x  # file", self.printed(env=env)["region"])

    def test_what_is_unknown_is_refused(self):
        (self.dir / "c.yaml").write_text("regoin: x\n")
        outcome = self.run_forebay("cat", "file:///x", "--config", self.dir / "c.yaml")
        self.check(outcome, 2, "regoin", "region")
        outcome = self.run_forebay("cat", "file:///x", "--config", self.dir / "none.yaml")
        self.check(outcome, 2, "--config", "none.yaml")
        outcome = self.run_forebay("cat", "file:///x", env={"FOREBAY_READ_TIMEOUT": "soon"})
        self.check(outcome, 2, "FOREBAY_READ_TIMEOUT", "soon")


if __name__ == "__main__":
    unittest.main()
