"""What a group says when something is wrong: gates that stay shut, names of what is missing."""

import os
import signal
import subprocess
import unittest

import group_case
import harness
from group_case import content

MIB = 1 << 20


class Truth(group_case.GroupTest):
    def loaded(self, workers=2, size=4 * MIB):
        root = self.old_tree({"a/x": content(size)})
        self.up(workers)
        self.create("prices", root, "--block-size", "1MiB")
        self.ok("load", "prices")
        self.await_ratio("prices", 1.0)
        return root

    def test_a_gate_stays_shut_where_no_file_is(self):
        root = self.loaded(1)
        outcome = self.forebay("wait", "prices", "--cached", "1", "--path", "/tpyo",
                               "--timeout", "1s")
        self.check(outcome, 124, 'no file of the dataset lies below "/tpyo"')
        answer = self.api.get("/v1/datasets/prices/wait?cached=0&timeout=0s&path=/tpyo")[1]
        self.assertEqual((answer["reached"], answer["cachedRatio"]), (False, None))
        self.ok("wait", "prices", "--cached", "1", "--path", "/a/", "--timeout", "10s")
        self.assertTrue(root.exists())

    def test_evict_names_who_did_not_answer(self):
        self.loaded(2)
        pids = {name: worker["pid"] for name, worker in self.workers().items()}
        os.kill(pids["default-1"], signal.SIGSTOP)
        self.addCleanup(os.kill, pids["default-1"], signal.SIGCONT)
        self.await_status(lambda s: s["workers"][1]["state"] == "Suspect", "a suspect")
        self.check(self.forebay("evict", "prices"), 1, "default-1 did not answer", "evict again")
        self.assertEqual(self.api.get("/readyz")[0], 503)
        os.kill(pids["default-1"], signal.SIGCONT)
        self.await_status(lambda s: s["workers"][1]["state"] == "Ready", "both")
        self.assertEqual(self.api.get("/readyz")[0], 200)
        self.ok("evict", "prices")
        self.await_ratio("prices", 0.0)

    def test_a_store_that_is_not_there(self):
        root = self.old_tree({"a": content(MIB)})
        self.up(1)
        self.create("good", root)
        for i in range(5):
            self.create(f"bad{i}", f"{self.dir}/none/{i}")
            self.ok("load", f"bad{i}", "--detach")
        self.ok("load", "good", "--timeout", "30s")
        outcome = self.forebay("load", "bad0", "--timeout", "30s")
        self.check(outcome, 1, "cannot be listed", "none/0")
        self.assertNotIn("missing", outcome.err)
        load = self.status()["loads"][-1]
        self.assertEqual((load["phase"], load["totalBytes"]), ("Failed", None))
        found = self.forebay("doctor")
        self.assertRegex(found.out.decode(), "warn +dataset +bad0.default is Bound; UpstreamFailed")
        self.assertRegex(found.out.decode(), "ok +dataset +good.default is bound")
        self.assertIn("ListingFailed", self.ok("events").decode())

    def test_hits_are_of_reads_alone(self):
        self.loaded(1)
        self.assertIsNone(self.dataset("prices")["hitRatio"])
        self.ok("cat", "forebay://prices/a/x")
        self.await_status(lambda s: s["datasets"][0]["hitRatio"] == 1.0, "a hit ratio")

    def test_capacity_is_what_was_asked_for(self):
        self.up(2, memory="64MiB")
        status = self.status()
        self.assertEqual(status["workers"][0]["capacityBytes"], 64 * MIB)
        self.assertEqual(status["groups"][0]["capacityBytes"], 128 * MIB)

    def test_nothing_is_left_of_killed_workers(self):
        self.up(3)
        os.kill(self.control.pid, signal.SIGSTOP)
        for worker in self.pids():
            os.kill(worker, signal.SIGKILL)
        self.kill_control()
        self.up(1)
        harness.wait_until(lambda: not self.left("default-2"), "no socket of default-2")
        self.ok("down")
        self.assertEqual(self.left("default"), [])

    def pids(self):
        return [int(record.read_text().split()[0]) for record in self.state.glob("workers/*.pid")]

    def left(self, name):
        return [str(path) for path in self.state.rglob(f"{name}*")]

    def test_a_worker_from_elsewhere_joins_over_tcp(self):
        root = self.old_tree({"a": content(MIB)})
        address = f"127.0.0.1:{harness.free_port()}"
        self.up(0, "--listen", address, ready=False)
        url = f"http://{address}"
        harness.wait_until(
            lambda: self.run_forebay("status", "--control", url).code == 0, "control")
        worker = subprocess.Popen(
            [harness.BINARY, "worker", "--control", url, "--name", "far", "--memory", "64MiB",
             "--address", "127.0.0.1:0", "--state-dir", str(self.dir / "far")],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=harness.clean_environment(self.dir))
        self.addCleanup(worker.wait)
        self.addCleanup(worker.terminate)
        self.await_status(lambda s: [w["state"] for w in s["workers"]] == ["Ready"], "a worker")
        self.create("prices", root)
        for verb in (["load", "prices"], ["wait", "prices", "--cached", "1", "--workers", "1"]):
            outcome = self.run_forebay(*verb, "--control", url)
            self.assertEqual(outcome.code, 0, outcome.err)
        read = self.run_forebay("cat", "forebay://prices/a", "--control", url)
        self.assertEqual(read.out, content(MIB))
        self.assertEqual(self.upstream_bytes("prices"), MIB)


if __name__ == "__main__":
    unittest.main()
