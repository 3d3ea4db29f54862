"""What the verbs of a group ask control, and what they print."""

import json
import os
import pty
import select
import signal
import subprocess
import time
import unittest

import yaml

import harness
from fake_control import FakeControl, dataset, load, problem, status


class ControlCase(harness.ForebayTest):
    def ask(self, *arguments, **more):
        return self.run_forebay(*arguments, "--state-dir", self.state, **more)

    def out(self, *arguments, **more):
        outcome = self.ask(*arguments, **more)
        self.check(outcome, 0)
        return outcome.out.decode()


class Finding(ControlCase):
    def test_no_group(self):
        self.check(self.ask("status"), 1, "no group is running", "control.sock", "forebay up",
                   "--state-dir")

    def test_a_socket_that_nobody_listens_on(self):
        import socket
        self.state.mkdir()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.state / "control.sock"))
        self.check(self.ask("datasets"), 1, "does not answer", "forebay up")

    def test_a_state_dir_too_long_for_a_socket(self):
        self.state = self.dir / ("x" * 120)
        self.check(self.ask("status"), 1, "/run/forebay/")

    def test_control_is_a_url_and_may_come_from_the_environment(self):
        control = FakeControl(self, self.dir / "c.sock", {"GET /metrics": b"up 1\n"})
        url = f"unix:{control.path}"
        for outcome in (self.ask("metrics", "--control", url),
                        self.ask("metrics", env={"FOREBAY_CONTROL": url})):
            self.check(outcome, 0)
            self.assertEqual(outcome.out, b"up 1\n")
        self.check(self.ask("status", "--control", "host:1"), 2, '--control: "host:1"',
                   "http://HOST:PORT")
        port = harness.free_port()
        self.check(self.ask("status", "--control", f"http://127.0.0.1:{port}"), 1,
                   "no control answers", "--control")

    def test_problems_are_messages_and_exit_codes(self):
        control = FakeControl(self)
        for code, exit_code in ((400, 2), (422, 2), (404, 1), (403, 1), (409, 1), (429, 1),
                                (500, 1)):
            control.answers["GET /v1/datasets/p"] = problem(f"reason {code}; do this", code)
            self.check(self.ask("dataset", "show", "p"), exit_code,
                       f"dataset show: reason {code}; do this")
        control.answers["GET /v1/datasets/p"] = (502, b"<html>")
        self.check(self.ask("dataset", "show", "p"), 1, "status 502")
        control.answers["GET /v1/datasets/p"] = b"<html>"
        self.check(self.ask("dataset", "show", "p"), 1, "not what was asked for", "--control")


class Datasets(ControlCase):
    def test_create_sends_all_of_it_and_no_secret_is_shown(self):
        control = FakeControl(self, answers={
            "POST /v1/datasets": (201, {"result": "created", "dataset": dataset()})})
        (self.dir / "token").write_text("file-secret\n")
        arguments = ["dataset", "create", "prices", "--mount", "/a,b=s3://b/x,y=1", "--mount",
                     "s3://root", "--option", "region=eu-west-1", "--option", "endpoint=http://h:1",
                     "--secret", "secret-access-key=env:MY_SECRET", "--secret",
                     f"session-token=file:{self.dir}/token", "--staleness", "pinned",
                     "--block-size", "1MiB", "-n", "team"]
        outcome = self.ask(*arguments, env={"MY_SECRET": "env-secret"})
        self.check(outcome, 0)
        self.assertEqual(outcome.out, b"dataset.data.fluid.io/prices created\n")
        [(query, body)] = control.asked("POST", "/v1/datasets")
        self.assertEqual(query, {"namespace": "team"})
        shared = {"options": {"region": "eu-west-1", "endpoint": "http://h:1"},
                  "secrets": {"secret-access-key": "env-secret", "session-token": "file-secret"}}
        self.assertEqual(body, {
            "name": "prices", "namespace": "team", "staleness": "pinned", "blockSize": "1048576",
            "mounts": [{"path": "/a,b", "url": "s3://b/x,y=1", **shared},
                       {"path": "/", "url": "s3://root", **shared}]})
        printed = self.ask(*arguments, "--print-config", env={"MY_SECRET": "env-secret"})
        self.check(printed, 0)
        self.assertNotIn("env-secret", printed.out.decode() + printed.err)

    def test_a_secret_in_argv_is_refused_and_not_repeated(self):
        FakeControl(self)
        for text in ("secret-access-key=hunter2", "hunter2", "=hunter2"):
            outcome = self.ask("dataset", "create", "p", "--mount", "s3://b", "--secret", text)
            self.check(outcome, 2, "--secret")
            self.assertNotIn("hunter2", outcome.err)
            printed = self.ask("dataset", "create", "p", "--secret", text, "--print-config")
            self.assertNotIn("hunter2", printed.out.decode() + printed.err)

    def test_names_and_namespaces(self):
        control = FakeControl(self)
        for arguments, name, name_space in ((["p"], "p", "default"), (["p.team"], "p", "team"),
                                            (["p", "-n", "team"], "p", "team"),
                                            (["p.team", "-n", "team"], "p", "team")):
            control.answers[f"DELETE /v1/datasets/{name}"] = {"result": "deleted"}
            self.assertEqual(self.out("dataset", "delete", *arguments),
                             f"dataset.data.fluid.io/{name} deleted\n")
            self.assertEqual(control.asked("DELETE", f"/v1/datasets/{name}")[-1][0],
                             {"namespace": name_space})
        self.check(self.ask("dataset", "delete", "a.b.c"), 2, 'NAME "a.b.c"')
        self.check(self.ask("dataset", "delete", "a.b", "-n", "c"), 2, "--namespace")
        self.check(self.ask("dataset", "delete", "gone"), 1)

    def test_show_in_every_form(self):
        entry = dataset(conditions=[{"type": "Ready", "status": "False", "reason": "Denied",
                                     "message": "403 from the store",
                                     "since": "2026-01-01T00:00:00Z"}], cachedRatio=0.9999)
        FakeControl(self, answers={"GET /v1/datasets/prices": entry})
        self.assertEqual(json.loads(self.out("dataset", "show", "prices", "-o", "json")), entry)
        self.assertEqual(yaml.safe_load(self.out("dataset", "show", "prices", "-o", "yaml")), entry)
        self.assertEqual(self.out("dataset", "show", "prices", "-o", "name"),
                         "dataset.data.fluid.io/prices\n")
        sheet = self.out("dataset", "show", "prices")
        for text in ("Phase:", "Bound", "s3://bucket/prices", "403 from the store", "1200",
                     "1 GiB (99.9%)"):
            self.assertIn(text, sheet)

    def test_refresh_and_evict(self):
        control = FakeControl(self, answers={
            "POST /v1/datasets/p/refresh": {"result": "refreshed"},
            "POST /v1/datasets/p/evict": {"evictedBytes": 5 << 20, "evictedFiles": 2}})
        self.assertEqual(self.out("dataset", "refresh", "p", "sub"),
                         "dataset.data.fluid.io/p refreshed\n")
        self.assertEqual(self.out("evict", "p", "/a", "b"),
                         "dataset.data.fluid.io/p evicted (2 files, 5 MiB)\n")
        self.assertEqual(self.out("evict", "p"),
                         "dataset.data.fluid.io/p evicted (2 files, 5 MiB)\n")
        self.assertEqual(control.asked("POST", "/v1/datasets/p/refresh")[0][1], {"path": "/sub"})
        self.assertEqual([b for _, b in control.asked("POST", "/v1/datasets/p/evict")],
                         [{"paths": ["/a", "/b"]}, {"paths": []}])

    def test_list(self):
        control = FakeControl(self, answers={
            "GET /v1/datasets": {"datasets": [dataset(), dataset("b", files=None, totalBytes=None,
                                                                 cachedRatio=None)]}})
        lines = self.out("datasets").splitlines()
        self.assertEqual(lines[0].split(),
                         ["DATASET", "PHASE", "FILES", "SIZE", "CACHED", "CACHED%", "HIT%"])
        self.assertEqual(lines[1].split(),
                         ["prices", "Bound", "1200", "3", "GiB", "1", "GiB", "33.3%", "-"])
        self.assertEqual(lines[2].split(), ["b", "Bound", "-", "-", "1", "GiB", "-", "-"])
        self.assertTrue(self.out("datasets", "-A").startswith("NAMESPACE  DATASET"))
        self.assertEqual(self.out("datasets", "-o", "name"),
                         "dataset.data.fluid.io/prices\ndataset.data.fluid.io/b\n")
        self.assertEqual(json.loads(self.out("datasets", "-o", "json"))[0], dataset())
        self.assertEqual([q for q, _ in control.asked("GET", "/v1/datasets")][:2],
                         [{"namespace": "default"}, {"all": "true"}])


class Documents(ControlCase):
    CHANGES = {"results": [{"object": "dataset.data.fluid.io/prices", "namespace": "default",
                            "result": "created", "message": ""}],
               "warnings": [{"document": "dataset.data.fluid.io/prices", "path": "spec.owner",
                             "value": "x", "message": "has no meaning here"}]}

    def test_apply_and_delete(self):
        control = FakeControl(self, answers={"POST /v1/apply": self.CHANGES,
                                             "POST /v1/delete": self.CHANGES})
        file = self.dir / "d.yaml"
        file.write_text("kind: Dataset\n")
        outcome = self.ask("apply", "-f", file, "--dry-run")
        self.check(outcome, 0, "spec.owner", "has no meaning here")
        self.assertEqual(outcome.out, b"dataset.data.fluid.io/prices created (dry run)\n")
        outcome = self.ask("delete", "-f", "-", stdin=b"kind: Dataset")
        self.assertEqual(outcome.out, b"dataset.data.fluid.io/prices created\n")
        self.assertEqual(control.asked("POST", "/v1/apply")[0][1],
                         {"documents": "kind: Dataset\n", "source": str(file), "dryRun": True})
        self.assertEqual(control.asked("POST", "/v1/delete")[0][1],
                         {"documents": "kind: Dataset", "source": "standard input",
                          "dryRun": False})

    def test_waiting_for_standard_input_is_interrupted(self):
        FakeControl(self)
        process = self.start_forebay("apply", "-f", "-", "--state-dir", self.state,
                                     stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=10), 130)


class Loads(ControlCase):
    def start(self, *phases, **answers):
        """A control whose load goes through `phases`, one a question; the last one stays."""
        left = list(phases)

        def look(query, body):
            return left.pop(0) if len(left) > 1 else left[0]
        return FakeControl(self, answers={"POST /v1/loads": (201, load(done=0)),
                                          "GET /v1/loads/7f3a": look, **answers})

    def test_waits_for_the_end(self):
        control = self.start(load(done=1), load("7f3a", "Complete", 4))
        outcome = self.ask("load", "prices", "/2024/**", "x", "--throttle", "100MiB/s",
                           "--replicas", "2", "--progress", "json")
        self.check(outcome, 0)
        self.assertEqual(outcome.out, b"load/7f3a complete (4 files, 4 MiB)\n")
        last = json.loads(outcome.err.splitlines()[-1])
        self.assertEqual((last["verb"], last["doneBytes"], last["doneFiles"]),
                         ("load", 4 << 20, 4))
        self.assertEqual(control.asked("POST", "/v1/loads")[0][1],
                         {"dataset": "prices", "namespace": "default", "paths": ["/2024/**", "/x"],
                          "throttle": 100 << 20, "replicas": 2})

    def test_detach_prints_the_id(self):
        self.start(load())
        self.assertEqual(self.out("load", "prices", "--detach"), "7f3a\n")

    def test_failure_names_what_is_missing(self):
        self.start(load("7f3a", "Failed", 2, missing=2, reason="the store refused",
                        missingFiles=[{"path": "/a", "reason": "NotFound"}]))
        self.check(self.ask("load", "prices"), 1, "/a: NotFound", "2 files missing",
                   "the store refused", "forebay load prices")

    def test_cancelled_by_somebody(self):
        self.start(load("7f3a", "Cancelled"))
        self.check(self.ask("load", "prices"), 1, "was cancelled")

    def test_timeout_leaves_it_running(self):
        control = self.start(load())
        outcome = self.ask("load", "prices", "--timeout", "300ms")
        self.check(outcome, 124, "300ms", "1 of 4 files", "load-cancel 7f3a")
        self.assertFalse(control.asked("POST", "/v1/loads/7f3a/pause"))

    def test_interrupt_pauses_and_says_how_to_go_on(self):
        control = self.start(load(), **{"POST /v1/loads/7f3a/pause": load("7f3a", "Paused")})
        process = self.start_forebay("load", "prices", "--state-dir", self.state,
                                     stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        harness.wait_until(lambda: control.asked("GET", "/v1/loads/7f3a"), "a look at the load")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=10), 130)
        self.assertIn("forebay load-resume 7f3a", process.stderr.read().decode())
        self.assertTrue(control.asked("POST", "/v1/loads/7f3a/pause"))

    def test_a_control_that_is_started_again_does_not_end_the_waiting(self):
        answers = [(503, {"detail": "starting"}), load("7f3a", "Complete", 4)]
        self.start(load(), **{"GET /v1/loads/7f3a": lambda q, b: answers.pop(0)})
        self.check(self.ask("load", "prices"), 0, "control does not answer")

    def test_progress_on_a_terminal(self):
        done = load("7f3a", "Complete", 4)
        steps = [load(done=n) for n in (1, 2, 3)] + [done]
        self.start(*steps)
        text, code = self.on_terminal("load", "prices", "--state-dir", str(self.state))
        self.assertEqual(code, 0, text)
        self.assertIn("load: 4 of 4 files, 4 MiB of 4 MiB (100%)", text)
        self.assertRegex(text, r"\[#{10,}\]")
        self.assertRegex(text, r"of 4 files, . MiB of 4 MiB \(\d+%\), 1 MiB/s, 3s left")

    def on_terminal(self, *arguments):
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(harness.BINARY, ["forebay", *arguments],
                      {"HOME": str(self.dir), "TERM": "xterm"})
        text = b""
        while select.select([fd], [], [], 20)[0]:
            try:
                part = os.read(fd, 65536)
            except OSError:
                break
            if not part:
                break
            text += part
        os.close(fd)
        return text.decode(errors="replace"), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def test_list_and_acts(self):
        control = FakeControl(self, answers={
            "GET /v1/loads": {"loads": [load()]},
            **{f"POST /v1/loads/7f3a/{act}": load() for act in ("pause", "resume", "cancel")}})
        lines = self.out("loads", "-o", "wide").splitlines()
        self.assertEqual(lines[0].split()[:4], ["LOAD", "DATASET", "PHASE", "DONE"])
        self.assertIn("1 MiB/s", lines[1])
        self.assertEqual(self.out("loads", "-o", "name"), "load/7f3a\n")
        for act, done in (("pause", "paused"), ("resume", "resumed"), ("cancel", "cancelled")):
            self.assertEqual(self.out(f"load-{act}", "load/7f3a"), f"load/7f3a {done}\n")
        control.answers["POST /v1/loads/7f3a/pause"] = problem("is Complete", 409)
        self.check(self.ask("load-pause", "7f3a"), 1, "is Complete")


class Waits(ControlCase):
    def test_reached(self):
        control = FakeControl(self, answers={
            "GET /v1/datasets/p/wait": {"reached": True, "cachedRatio": 1.0, "ready": 2}})
        self.assertEqual(self.out("wait", "p", "--cached", "95%", "--workers", "2", "--path", "x"),
                         "")
        [(query, _)] = control.asked("GET", "/v1/datasets/p/wait")
        self.assertEqual(float(query["cached"]), 0.95)
        self.assertEqual((query["workers"], query["path"], query["namespace"]),
                         ("2", "/x", "default"))

    def test_not_reached_says_what_is_missing(self):
        FakeControl(self, answers={
            "GET /v1/datasets/p/wait": {"reached": False, "cachedRatio": 0.41, "ready": 1,
                                        "reason": "no load runs"}})
        started = time.monotonic()
        self.check(self.ask("wait", "p", "--cached", "0.95", "--timeout", "500ms"), 124,
                   "41% cached, 95% wanted", "no load runs", "forebay load p", "500ms")
        self.assertGreater(time.monotonic() - started, 0.5)
        self.check(self.ask("wait", "p", "--workers", "3", "--timeout", "0"), 124,
                   "1 workers ready, 3 wanted")

    def test_interrupted(self):
        control = FakeControl(self, answers={"GET /v1/datasets/p/wait": {"reached": False}})
        process = self.start_forebay("wait", "p", "--cached", "1", "--state-dir", self.state)
        harness.wait_until(lambda: control.asked("GET", "/v1/datasets/p/wait"), "a question")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=10), 130)


class Shows(ControlCase):
    def test_status_in_every_form(self):
        answer = status([dataset()], [load()])
        control = FakeControl(self, answers={"GET /v1/status": answer})
        self.assertEqual(json.loads(self.out("status", "-o", "json")), answer)
        self.assertEqual(yaml.safe_load(self.out("status", "-o", "yaml")), answer)
        self.assertEqual(self.out("status", "-o", "name").split(),
                         ["group/default", "worker/default-0", "dataset.data.fluid.io/prices",
                          "load/7f3a"])
        table = self.out("status")
        for text in ("GROUP    READY", "1/2", "WORKER     ROLE", "1 GiB",
                     "DATASET", "LOAD", "1/4"):
            self.assertIn(text, table)
        self.assertTrue(all(len(line) <= 80 for line in table.splitlines()), table)
        wide = self.out("status", "-o", "wide")
        for text in ("1.7", "2 because", "4242", "unix:/x/default-0", "s3://bucket/prices"):
            self.assertIn(text, wide)
        self.assertEqual(control.asked("GET", "/v1/status")[0][0], {"all": "true"})
        self.out("status", "prices", "-n", "team")
        self.assertEqual(control.asked("GET", "/v1/status")[-1][0],
                         {"namespace": "team", "dataset": "prices"})

    def test_an_unknown_dataset(self):
        FakeControl(self, answers={"GET /v1/status": status()})
        self.check(self.ask("status", "gone"), 1, '"gone"', "no such dataset")

    def test_watch_prints_what_changes_until_interrupted(self):
        answers = [status([dataset(cachedRatio=0.1)])] * 2 + [status([dataset(cachedRatio=0.2)])]
        FakeControl(self, answers={
            "GET /v1/status": lambda q, b: answers.pop(0) if len(answers) > 1 else answers[0]})
        process = self.start_forebay("status", "--watch", "-o", "json", "--state-dir", self.state,
                                     stdout=subprocess.PIPE)
        ratios = [json.loads(process.stdout.readline())["datasets"][0]["cachedRatio"]
                  for _ in range(2)]
        self.assertEqual(ratios, [0.1, 0.2])
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=10), 130)

    def test_events(self):
        event = {"seq": 4, "time": "2026-01-01T00:00:00Z", "type": "Warning",
                 "reason": "WorkerDead", "object": "worker/default-0", "namespace": "default",
                 "message": "no heartbeat\nfor 2 s", "count": 1}
        pages = [{"events": [event], "next": 5}, {"events": [], "next": 5},
                 {"events": [{**event, "seq": 5, "reason": "WorkerReady"}], "next": 6}]
        control = FakeControl(self, answers={"GET /v1/events": lambda q, b: pages[0]})
        table = self.out("events")
        self.assertEqual(table.splitlines()[0].split(),
                         ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"])
        self.assertIn("no heartbeat\\nfor 2 s", table)
        self.assertEqual(json.loads(self.out("events", "-o", "json")), [event])

        left = list(pages)

        def turn(query, body):
            if len(left) == 0:
                time.sleep(0.5)
            return left.pop(0) if left else {"events": [], "next": 6}
        control.answers["GET /v1/events"] = turn
        process = self.start_forebay("events", "-w", "-o", "json", "--state-dir", self.state,
                                     stdout=subprocess.PIPE)
        reasons = [json.loads(process.stdout.readline())["reason"] for _ in range(2)]
        self.assertEqual(reasons, ["WorkerDead", "WorkerReady"])
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=10), 130)
        self.assertIn("5", [q["since"] for q, _ in control.asked("GET", "/v1/events")])

    def test_metrics_are_passed_on(self):
        FakeControl(self, answers={"GET /metrics": b"a 1\n"})
        self.assertEqual(self.out("metrics"), "a 1\n")

    def test_version(self):
        self.assertRegex(self.out_of("version"), r"^forebay \d+\.\d+\.\d+\n$")
        self.assertEqual(json.loads(self.out_of("version", "-o", "json"))["version"],
                         self.out_of("version").split()[1])

    def out_of(self, *arguments):
        outcome = self.run_forebay(*arguments)
        self.check(outcome, 0)
        return outcome.out.decode()


class Doctor(ControlCase):
    def findings(self, *arguments, **more):
        outcome = self.ask("doctor", "-o", "json", *arguments, **more)
        return outcome.code, {f["check"]: f for f in json.loads(outcome.out)}

    def test_every_line_has_a_level_and_a_remedy(self):
        code, findings = self.findings()
        for check in ("kernel", "fuse", "tmpfs", "memory", "nofile", "memlock", "clock",
                      "state-dir", "s3", "control"):
            self.assertIn(check, findings)
        for finding in findings.values():
            self.assertIn(finding["status"], ("ok", "warn", "fail"))
            self.assertEqual(finding["status"] == "ok", finding["remedy"] == "", finding)
        self.assertEqual(findings["control"]["status"], "warn")
        fails = any(f["status"] == "fail" for f in findings.values())
        self.assertEqual(code, 1 if fails else 0)
        text = self.ask("doctor").out.decode()
        self.assertTrue(all(len(line) <= 80 for line in text.splitlines()), text)

    def test_the_group_and_the_stores(self):
        FakeControl(self, answers={"GET /v1/status": status([dataset(phase="NotBound")])})
        (self.dir / "data").mkdir()
        code, findings = self.findings("--mount", f"file://{self.dir}/data")
        self.assertEqual(findings["control"]["status"], "ok")
        self.assertEqual(findings["dataset"]["status"], "warn")
        self.assertEqual(findings["store"]["status"], "ok")
        code, findings = self.findings("--mount", f"file://{self.dir}/none")
        self.assertEqual((code, findings["store"]["status"]), (1, "fail"))

    def test_credentials_are_found_and_not_shown(self):
        outcome = self.ask("doctor", env={"AWS_ACCESS_KEY_ID": "my-id",
                                          "AWS_SECRET_ACCESS_KEY": "my-secret"})
        self.assertIn("credentials are there", outcome.out.decode())
        self.assertNotIn("my-secret", outcome.out.decode())

    def test_a_control_that_was_named_must_answer(self):
        code, findings = self.findings("--control", "unix:/tmp/fb-nobody.sock")
        self.assertEqual((code, findings["control"]["status"]), (1, "fail"))


class ClosedStreams(ControlCase):
    def test_a_closed_standard_stream_is_not_reused(self):
        FakeControl(self, answers={"GET /metrics": b"a 1\n"})
        command = f'exec "{harness.BINARY}" metrics --state-dir "{self.state}"'
        for closing in ("<&-", "2>&-", "<&- 2>&-"):
            done = subprocess.run(["sh", "-c", f"{command} {closing}"], capture_output=True)
            self.assertEqual((done.returncode, done.stdout), (0, b"a 1\n"))
        done = subprocess.run(["sh", "-c", f"{command} >&-"], capture_output=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"standard output: Bad file descriptor", done.stderr)


if __name__ == "__main__":
    unittest.main()
