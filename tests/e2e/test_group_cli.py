"""The command line against a real group: formats, watching, figures that add up, exit codes."""

import json
import pathlib
import re
import signal
import stat
import subprocess
import unittest

import group_case
import harness
from group_case import content

MIB = 1 << 20
SECRET = "e2e-secret-e2e-secret"  # That of harness.S3Server.


class Shows(group_case.GroupTest):
    def start(self):
        self.root = self.old_tree({f"d{i}/f": content(300_000, i) for i in range(4)})
        self.up(2)
        self.create("prices", self.root, "--block-size", "64KiB")
        self.ok("load", "prices")
        self.ok("cat", "forebay://prices/d0/f")

    def test_status_in_every_form(self):
        self.start()
        self.create("other", self.root, "-n", "team")
        status = self.await_ratio("prices", 1.0)
        shown = json.loads(self.ok("status", "-o", "json"))
        self.assertEqual(set(shown), set(status))
        self.assertEqual([d["name"] for d in shown["datasets"]], ["prices", "other"])
        for form in ("table", "wide", "yaml", "name"):
            text = self.ok("status", "-o", form).decode()
            self.assertIn("prices", text, form)
            self.assertIn("default-1", text, form)
        self.assertIn("dataset.data.fluid.io/prices", self.ok("status", "-o", "name").decode())
        one = json.loads(self.ok("status", "prices", "-o", "json"))
        self.assertEqual([d["name"] for d in one["datasets"]], ["prices"])
        self.assertEqual({load["dataset"] for load in one["loads"]}, {"prices"})
        team = json.loads(self.ok("status", "-n", "team", "-o", "json"))
        self.assertEqual([d["name"] for d in team["datasets"]], ["other"])
        self.assertEqual([d["name"] for d in json.loads(
            self.ok("status", "other.team", "-o", "json"))["datasets"]], ["other"])
        self.check(self.forebay("status", "none"), 1, 'NAME "none": no such dataset')

    def test_watching_shows_a_change_until_interrupted(self):
        self.start()
        events = self.start_forebay("events", "-w", "-o", "json", "--state-dir", self.state,
                                    stdout=subprocess.PIPE)
        watch = self.start_forebay("status", "--watch", "-o", "json", "--state-dir", self.state,
                                   stdout=subprocess.PIPE)
        self.assertEqual(len(json.loads(watch.stdout.readline())["datasets"]), 1)
        self.create("later", self.root)
        while len(json.loads(watch.stdout.readline())["datasets"]) != 2:
            pass
        while json.loads(events.stdout.readline())["object"] != "dataset.data.fluid.io/later":
            pass
        for process in (events, watch):
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(timeout=harness.START_TIMEOUT), 130)

    def test_metrics_are_the_sum_over_the_workers(self):
        self.start()
        self.await_ratio("prices", 1.0)
        text = self.ok("metrics").decode()
        total = harness.parse_metrics(text)
        each = [harness.parse_metrics(harness.http_get(f"unix:{self.state}/{name}.sock",
                                                       "/metrics")[1]) for name in self.workers()]
        self.assertEqual(len(each), 2)
        for name in {name for one in each for name in one}:
            # Control itself lists the dataset: its own requests are in the sum.
            if name.startswith("forebay_cache_"):
                self.assertAlmostEqual(total[name], sum(one.get(name, 0) for one in each), 6, name)
        self.assertEqual(total["forebay_upstream_bytes_total"], 1_200_000)
        self.assertEqual(
            total['forebay_dataset_cached_ratio{dataset="prices",namespace="default"}'], 1.0)
        self.assertEqual(total["forebay_build_info"], 1)  # A gauge: of one version.
        documented = (harness.ROOT / "docs/metrics.md").read_text()
        for name in re.findall(r"^# TYPE (\w+)", text, re.MULTILINE):
            self.assertIn(f"`{name}`", documented)
        names = re.findall(r"^# TYPE (\w+)", text, re.MULTILINE)
        self.assertEqual(len(names), len(set(names)), "a family that comes twice")

    def test_names_are_completed(self):
        self.start()
        self.ok("evict", "prices")
        load = self.ok("load", "prices", "--throttle", "1000", "--detach").decode().strip()
        for words, wanted in ((["dataset", "show", "pr"], b"prices"), (["wait", ""], b"prices"),
                              (["load-pause", ""], load.encode())):
            environment = {"FOREBAY_STATE_DIR": str(self.state)}
            outcome = self.run_forebay("complete", "--", *words, env=environment)
            self.assertIn(wanted, outcome.out.split(), (words, outcome.err))

    def test_doctor_with_and_without_a_group(self):
        before = self.forebay("doctor", "-o", "json")
        findings = {f["check"]: f for f in json.loads(before.out)}
        self.assertEqual(findings["control"]["status"], "warn")
        self.assertIn("forebay up", findings["control"]["remedy"])
        self.start()
        findings = json.loads(self.forebay("doctor", "-o", "json").out)
        found = {f["check"]: f for f in findings}
        self.assertEqual(found["control"]["status"], "ok", found["control"])
        self.assertEqual(found["workers"]["status"], "ok")
        self.assertIn("prices", found["dataset"]["detail"])
        self.assertEqual([f for f in findings if f["status"] != "ok" and not f["remedy"]], [])


class ExitCodes(group_case.GroupTest):
    def test_a_load_is_interrupted_paused_and_resumed(self):
        root = self.old_tree({f"f{i}": content(MIB, i) for i in range(6)})
        self.up(1)
        self.create("prices", root, "--block-size", "1MiB")
        load = self.start_forebay("load", "prices", "--throttle", "1MiB", "--state-dir", self.state,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.await_status(lambda s: s["loads"] and s["loads"][0]["doneBytes"] > 0, "progress")
        load.send_signal(signal.SIGINT)
        self.assertEqual(load.wait(timeout=harness.START_TIMEOUT), 130)
        record = self.status()["loads"][0]
        self.assertEqual(record["phase"], "Paused")
        self.assertIn(f"forebay load-resume {record['id']}", load.stderr.read().decode())
        self.ok("load-resume", record["id"])
        self.ok("wait", "prices", "--cached", "100%", "--timeout", "40s")

    def test_deadlines_are_124_and_leave_the_load_alone(self):
        root = self.old_tree({f"f{i}": content(MIB, i) for i in range(4)})
        self.up(1)
        self.create("prices", root, "--block-size", "1MiB")
        outcome = self.forebay("load", "prices", "--throttle", "1MiB", "--timeout", "500ms")
        self.check(outcome, 124, "goes on")
        self.assertEqual(self.status()["loads"][0]["phase"], "Running")
        self.check(self.forebay("wait", "prices", "--cached", "1", "--timeout", "100ms"), 124)
        self.check(self.forebay("wait", "prices", "--workers", "3", "--timeout", "100ms"), 124,
                   "1 workers ready, 3 wanted")

    def test_wait_is_interrupted(self):
        root = self.old_tree({"a": b"x"})
        self.up(1)
        self.create("prices", root)
        wait = self.start_forebay("wait", "prices", "--cached", "1", "--state-dir", self.state,
                                  stderr=subprocess.PIPE)
        # It has connected: control answers it when its poll is over.
        harness.wait_until(lambda: len(list(pathlib.Path(f"/proc/{wait.pid}/fd").iterdir())) > 5,
                           "a connection")
        wait.send_signal(signal.SIGINT)
        self.assertEqual(wait.wait(timeout=harness.START_TIMEOUT), 130)

    def test_wrong_input_changes_nothing(self):
        root = self.old_tree({"a": b"x"})
        self.up(1)
        self.create("prices", root)
        before = self.await_ratio("prices", 0.0)["datasets"]
        for arguments in (["dataset", "create", "prices", "--mount", "s3:/b"],
                          ["dataset", "create", "Bad_Name", "--mount", f"file://{root}"],
                          ["dataset", "create", "x", "--mount", f"file://{root}", "--option",
                           "no=1"],
                          ["load", "prices", "--replicas", "65"], ["evict", "prices", "nothing"]):
            outcome = self.forebay(*arguments)
            self.assertEqual(outcome.code, 2, (arguments, outcome.err))
        self.assertEqual(self.forebay("dataset", "delete", "none").code, 1)
        self.assertEqual(self.forebay("load", "none").code, 1)
        self.assertEqual(self.status()["datasets"], before)


class Secrets(group_case.GroupTest):
    def everything(self):
        """Whatever a secret could be read in: files of the state, logs, arguments, environments."""
        for path in [*self.state.rglob("*"), self.dir / "control.log"]:
            if path.is_file() and not path.is_symlink() and "tier" not in path.parts:
                yield str(path), path.read_bytes()
        for pid in [self.control.pid, *(w["pid"] for w in self.workers().values())]:
            for name in ("cmdline", "environ"):
                yield f"{pid} {name}", pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
        for verb in (["status", "-o", "json"], ["events", "-o", "json"], ["metrics"],
                     ["dataset", "show", "prices", "-o", "yaml"]):
            yield " ".join(verb), self.ok(*verb)

    def test_a_secret_serves_the_store_and_is_never_shown(self):
        s3 = harness.S3Server(self)
        s3.put_tree(self.make_tree({"a": content(MIB)}))
        (self.dir / "key").write_text(SECRET + "\n")
        self.up(2)
        self.ok("dataset", "create", "prices", "--mount", "s3://bucket/", "--option",
                f"endpoint={s3.url}", "--option", "access-key-id=e2e-key", "--option",
                "path-style=true", "--secret", f"secret-access-key=file:{self.dir}/key")
        kept = list((self.state / "secrets").iterdir())
        self.assertEqual([stat.S_IMODE(path.stat().st_mode) for path in kept], [0o600])
        self.assertEqual(stat.S_IMODE((self.state / "secrets").stat().st_mode), 0o700)
        self.ok("load", "prices")
        self.await_ratio("prices", 1.0)
        self.assertEqual(self.ok("cat", "forebay://prices/a"), content(MIB))
        for where, text in self.everything():
            if where != str(kept[0]):
                self.assertNotIn(SECRET.encode(), text, where)
        self.kill_control()
        self.up(2)
        self.ok("evict", "prices")
        self.ok("load", "prices")
        self.ok("dataset", "delete", "prices")
        self.assertEqual(list((self.state / "secrets").iterdir()), [])


if __name__ == "__main__":
    unittest.main()
