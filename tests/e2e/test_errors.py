"""Every verb and every flag has a row that says what it does with wrong input: the rows are checked
against the program's own list, so that a new verb or flag without a row fails here.

A row is (verb, words, exit code, what the message says). `{state}` is a state directory without a
group, `{dir}` an existing directory, `{members}` a members file of nobody.
"""

import collections
import unittest

import harness

# What every verb that has the flag does with it.
COMMON = {
    "quiet": (["--quiet=loud"], 2, "--quiet"),
    "config": (["--config", "{dir}/none.yaml"], 2, 'none.yaml"'),
    "print-config": (["--print-config=maybe"], 2, "--print-config"),
    "state-dir": (["--state-dir"], 2, "--state-dir"),
    "control": (["--control", "host:1"], 2, '--control: "host:1": not an address'),
    "namespace": (["--namespace"], 2, "--namespace"),
    "all-namespaces": (["--all-namespaces=few"], 2, "--all-namespaces"),
    "progress": (["--progress", "loud"], 2, '--progress "loud"'),
    "output": (["--output", "xml"], 2, '--output "xml": no such format'),
    "members": (["--members", "{dir}/none.yaml"], 2, "--members"),
    "read-timeout": (["--read-timeout", "soon"], 2, '--read-timeout: "soon"'),
    "endpoint-url": (["--endpoint-url", "nowhere"], 2, "endpoint"),
    "region": (["--region"], 2, "--region"),
    "profile": (["--profile"], 2, "--profile"),
    "force-path-style": (["--force-path-style=x"], 2, "--force-path-style"),
    "no-sign-request": (["--no-sign-request=x"], 2, "--no-sign-request"),
    "requester-pays": (["--requester-pays=x"], 2, "--requester-pays"),
    "option": (["--option", "fast"], 2, '--option "fast": not KEY=VALUE'),
    "recursive": (["--recursive=x"], 2, "--recursive"),
    "watch": (["--watch=x"], 2, "--watch"),
    "dry-run": (["--dry-run=x"], 2, "--dry-run"),
    "detach": (["--detach=x"], 2, "--detach"),
    "insecure": (["--insecure=x"], 2, "--insecure"),
    "force": (["--force=x"], 2, "--force"),
    "timeout": (["--timeout", "soon"], 2, '--timeout: "soon"'),
    "tasks": (["--tasks", "-1"], 2, "--tasks"),
    "processes": (["--processes", "many"], 2, '--processes: "many"'),
    "throttle": (["--throttle", "fast"], 2, '--throttle "fast": not a rate'),
    "replicas": (["--replicas", "two"], 2, '--replicas: "two"'),
    "cached": (["--cached", "150%"], 2, '--cached: "150%"'),
    "workers": (["--workers", "few"], 2, '--workers: "few"'),
    "path": (["--path", "s3://b/x"], 2, '--path: PATH "s3://b/x"'),
    "file": (["--file", "{dir}/none.yaml"], 2, '--file "{dir}/none.yaml": No such file'),
    "mount": (["--mount", "s3:/b"], 2, '--mount "s3:/b": not a URL; write s3://BUCKET'),
    "secret": (["--secret", "secret-access-key=x"], 2,
               "--secret secret-access-key: says not where"),
    "staleness": (["--staleness", "old"], 2, '--staleness "old"'),
    "metadata-ttl": (["--metadata-ttl", "old"], 2, '--metadata-ttl "old": write seconds, minimal'),
    "block-size": (["--block-size", "big"], 2, '--block-size: "big"'),
    "block-size-max": (["--block-size-max", "big"], 2, '--block-size-max: "big"'),
    "name": (["--name"], 2, "--name"),
    "address": (["--address", "nowhere"], 2, "--address"),
    "memory": (["--memory", "much"], 2, '--memory: "much"'),
    "memory-per-worker": (["--memory-per-worker", "much"], 2, '--memory-per-worker: "much"'),
    "listen": (["--listen", "nowhere"], 2, "--listen"),
    "tier-dir": (["--tier-dir"], 2, "--tier-dir"),
    "http": (["--http"], 2, "--http"),
    "foreground": (["--foreground=x"], 2, "--foreground"),
    "options": (["--options", "rw"], 2, "-o rw: mounts are read-only"),
    "read-only": (["--read-only=x"], 2, "--read-only"),
    "allow-other": (["--allow-other=x"], 2, "--allow-other"),
    "uid": (["--uid", "nobody"], 2, '--uid "nobody"'),
    "gid": (["--gid", "-1"], 2, "--gid"),
    "file-mode": (["--file-mode", "9"], 2, '--file-mode "9"'),
    "dir-mode": (["--dir-mode", "rwx"], 2, '--dir-mode "rwx"'),
    "log": (["--log"], 2, "--log"),
    "lazy": (["--lazy=x"], 2, "--lazy"),
    "role": (["--role", "far"], 2, '--role "far": write ring or near'),
    "near-memory": (["--near-memory", "much"], 2, '--near-memory: "much"'),
}

# Words that make a command of the verb whole, so that only the flag is wrong.
POOL = ["file:///x", "--members", "{members}"]
WHOLE = {
    "cat": ["file:///x"], "stat": ["file:///x"], "ls": ["file:///x"], "verify": POOL,
    "cp": ["file:///x", "{dir}"], "bench read": ["file:///x"], "bench fill": POOL,
    "dataset create": ["p", "--mount", "s3://b"], "dataset show": ["p"], "dataset refresh": ["p"],
    "dataset delete": ["p"], "load": ["p"], "load-pause": ["7"], "load-resume": ["7"],
    "load-cancel": ["7"], "mount": ["file:///x", "{dir}"], "umount": ["{dir}"],
    "wait": ["p", "--cached", "1"], "evict": ["p"],
    "apply": ["-f", "{members}"], "delete": ["-f", "{members}"], "explain": ["-f", "{members}"],
    "worker": ["--name", "w", "--address", "unix:{dir}/w", "--memory", "64MiB", "--members",
               "{members}"],
}

# At least one for each verb: without a group, or with wrong words.
VERBS = [
    ("status", ["--state-dir", "{state}"], 1, "no group is running"),
    ("status", ["a", "b"], 2, '"b": one argument too many; write forebay status [NAME]'),
    ("events", ["--state-dir", "{state}"], 1, "no group is running"),
    ("metrics", ["--state-dir", "{state}"], 1, "forebay up"),
    ("worker", ["--name", "w-0"], 2, "worker: --address is missing"),
    ("worker", ["--name", "w", "--address", "unix:{dir}/w", "--members", "{members}", "--memory",
                "900TiB"], 2, '--memory "900 TiB": this machine has'),
    ("worker", ["--name", "w", "--address", "unix:{dir}/w", "--members", "{members}", "--memory",
                "4096"], 2, '--memory "4 KiB": below one block of 4 MiB'),
    ("worker", ["--name", "w", "--address", "unix:{dir}/w", "--memory", "64MiB", "--members",
                "{members}", "--control", "unix:{dir}/c"], 2, "--control and --members"),
    ("worker", ["--name", "w", "--address", "unix:{dir}/w", "--memory", "64MiB", "--control",
                "nowhere"], 2, '--control: "nowhere"'),
    ("worker", ["--name", "w", "--address", "0.0.0.0:0", "--memory", "64MiB", "--control",
                "http://127.0.0.1:1"], 2, "--insecure"),
    ("up", ["x"], 2, '"x": takes no arguments'),
    ("up", ["--state-dir", "{state}", "--workers", "2000"], 2, '--workers "2000": at most 1024'),
    ("up", ["--state-dir", "{state}", "--memory-per-worker", "900TiB"], 2,
     '--memory-per-worker "900 TiB": 2 workers would take'),
    ("up", ["--state-dir", "{state}", "--memory-per-worker", "1MiB"], 2, "below one block"),
    ("up", ["--state-dir", "{state}", "--block-size-max", "3MiB"], 2, "a power of two"),
    ("up", ["--state-dir", "{state}", "--listen", "0.0.0.0:0"], 2, "add --insecure"),
    ("up", ["--state-dir", "{state}", "--listen", "unix:{dir}/x"], 2, "write HOST:PORT"),
    ("up", ["--state-dir", "{members}", "--memory-per-worker", "64MiB"], 1, "--state-dir"),
    ("mount", ["file:///"], 2, "arguments are missing; write forebay mount NAME|URL DIR"),
    ("mount", ["file:///", "{dir}/none"], 2, "{dir}/none"),
    ("mount", ["p", "{dir}", "--state-dir", "{state}"], 1, "forebay up"),
    ("mount", ["file:///none", "{dir}"], 1, "file:///none"),
    ("umount", ["{dir}"], 1, "{dir}"),
    ("umount", ["{dir}/none"], 1, "{dir}/none"),
    ("down", ["x"], 2, '"x": takes no arguments'),
    ("explain", [], 2, "--file is missing; write -f FILE"),
    ("explain", ["-f", "{members}"], 2, "members.yaml"),
    ("dataset create", [], 2, "arguments are missing; write forebay dataset create NAME"),
    ("dataset create", ["p", "--state-dir", "{state}"], 2, "--mount is missing"),
    ("dataset create", ["p", "--mount", "s3://a", "--mount", "s3://b"], 2, "--mount PATH="),
    ("dataset create", ["p", "--mount", "s3://a", "--state-dir", "{state}"], 1, "forebay up"),
    ("dataset create", ["p", "--mount", "s3://a", "--option", "session-token=x"], 2,
     "--secret session-token=env:NAME"),
    ("dataset show", ["a.b.c"], 2, 'NAME "a.b.c": write NAME, or NAME.NAMESPACE'),
    ("dataset refresh", ["p", "s3://b"], 2, 'PATH "s3://b": a URL'),
    ("dataset delete", ["p", "--state-dir", "{state}"], 1, "no group is running"),
    ("datasets", ["x"], 2, '"x": takes no arguments'),
    ("apply", [], 2, "--file is missing; write -f FILE"),
    ("delete", [], 2, "--file is missing; write -f FILE"),
    ("load", [], 2, "arguments are missing; write forebay load NAME"),
    ("load", ["p", "--replicas", "0"], 2, '--replicas "0"'),
    ("load", ["p", "--throttle", "0"], 2, '--throttle "0"'),
    ("load", ["", "--state-dir", "{state}"], 2, 'NAME "": empty'),
    ("loads", ["--state-dir", "{state}"], 1, "no group is running"),
    ("load-pause", [], 2, "arguments are missing; write forebay load-pause ID"),
    ("load-resume", ["", "--state-dir", "{state}"], 2, 'ID "": empty'),
    ("load-cancel", ["7", "--state-dir", "{state}"], 1, "no group is running"),
    ("wait", ["p", "--state-dir", "{state}"], 2, "--cached is missing; write --cached 95%"),
    ("wait", ["p", "--cached", "1", "--state-dir", "{state}"], 1, "no group is running"),
    ("evict", ["p", ""], 2, 'PATH "": empty'),
    ("cat", ["ftp://x/y"], 2, "ftp"),
    ("cat", ["file:///{dir}/none"], 1, "none"),
    ("stat", ["file:///{dir}/none"], 1, "none"),
    ("ls", [], 2, "arguments are missing"),
    ("cp", ["file:///x"], 2, "arguments are missing"),
    ("verify", ["file:///x"], 2, "--members is missing"),
    ("bench read", [], 2, "arguments are missing"),
    ("bench fill", ["file:///x"], 2, "--members is missing"),
    ("doctor", ["x"], 2, '"x": takes no arguments'),
    ("version", ["x"], 2, '"x": takes no arguments'),
    ("completion", ["tcsh"], 2, '"tcsh": not known; write bash, zsh or fish'),
]

# Started by other verbs or by a shell.
INTERNAL = {"bench process", "complete"}


class Errors(harness.ForebayTest):
    def setUp(self):
        super().setUp()
        self.members = self.write_members([("w", f"unix:{self.dir}/w")])

    def verbs(self):
        """{verb: flags}, as the program says."""
        outcome = self.run_forebay("help", "--list")
        self.check(outcome, 0)
        verbs = {}
        for line in outcome.out.decode().splitlines():
            name, hidden, flags = line.split("\t")
            self.assertEqual(hidden == "hidden", name in INTERNAL, name)
            if name not in INTERNAL:
                verbs[name] = flags.split()
        return verbs

    def run_row(self, verb, words, code, text):
        def filled(word):
            return word.format(dir=self.dir, state=self.state, members=self.members)
        words = [filled(word) for word in words]
        with self.subTest(verb=verb, words=words):
            outcome = self.run_forebay(*verb.split(), *words)
            self.check(outcome, code, filled(text))
            self.assertTrue(outcome.err.startswith(f"{verb}: "), outcome.err)
            self.assertEqual(outcome.err.count("\n"), 1, outcome.err)
            self.assertEqual(outcome.out, b"")

    def test_every_verb_has_a_row(self):
        counted = collections.Counter(verb for verb, *_ in VERBS)
        self.assertEqual(sorted(counted), sorted(self.verbs()))
        for row in VERBS:
            self.run_row(*row)

    def test_every_flag_of_every_verb_has_a_row(self):
        for verb, flags in self.verbs().items():
            for flag in flags:
                self.assertIn(flag, COMMON, f"{verb} --{flag} has no row")
                words, code, text = COMMON[flag]
                self.run_row(verb, WHOLE.get(verb, []) + words, code, text)

    def test_no_flag_takes_the_name_of_another_verb(self):
        self.check(self.run_forebay("status", "--mount", "x"), 2,
                   "status: --mount: no such flag; `forebay status --help` shows them")


if __name__ == "__main__":
    unittest.main()
