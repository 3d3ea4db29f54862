"""Faults of a group: workers and control that die, hang and come back, and full disks."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "e2e")]

import group_case  # noqa: E402
import harness  # noqa: E402
import tier_reader  # noqa: E402
from group_case import content  # noqa: E402

MIB = 1 << 20


class GroupFaults(group_case.GroupTest):
    def loaded(self, workers=2, files=8, memory="64MiB", replicas=1, **more):
        """A group with a dataset that is held."""
        data = {f"f{i}": content(MIB, i) for i in range(files)}
        root = self.old_tree(data)
        self.up(workers, memory=memory)
        self.create("prices", root, "--block-size", "256KiB", *more.get("flags", []))
        self.ok("load", "prices", "--replicas", str(replicas))
        self.await_ratio("prices", 1.0)
        return data

    def pid(self, name):
        return self.workers()[name]["pid"]

    def read_all(self, data):
        for name, bytes_ in data.items():
            self.assertEqual(self.ok("cat", f"forebay://prices/{name}"), bytes_)


class WorkersDie(GroupFaults):
    def test_a_killed_worker_is_ready_again_with_its_blocks(self):
        data = self.loaded()
        before = self.upstream_bytes("prices")
        old = self.pid("default-0")
        os.kill(old, signal.SIGKILL)

        def back(status):
            return any(w["name"] == "default-0" and w["state"] == "Ready" and w["pid"] != old
                       for w in status["workers"])
        self.await_status(back, "default-0 is ready again", timeout=5)
        self.read_all(data)
        self.await_ratio("prices", 1.0)
        self.assertEqual(self.upstream_bytes("prices"), before)

    def test_status_tells_a_death_within_two_seconds(self):
        self.loaded()
        os.kill(self.pid("default-0"), signal.SIGSTOP)
        self.addCleanup(os.kill, self.pid("default-0"), signal.SIGCONT)
        # The lease, and what status promises on top.
        self.await_status(lambda s: any(w["state"] == "Suspect" for w in s["workers"]),
                          "suspect", timeout=2 + group_case.PROMPT_S)
        os.kill(self.pid("default-0"), signal.SIGCONT)
        self.await_status(lambda s: all(w["state"] == "Ready" for w in s["workers"]), "ready")
        self.await_ratio("prices", 1.0)

    def test_reads_go_on_while_workers_hang(self):
        data = self.loaded()
        for worker in self.workers().values():
            os.kill(worker["pid"], signal.SIGSTOP)
            self.addCleanup(os.kill, worker["pid"], signal.SIGCONT)
        self.assertEqual(self.ok("cat", "forebay://prices/f0"), data["f0"])

    def test_with_all_workers_stopped_no_gate_opens(self):
        self.loaded()
        pids = [worker["pid"] for worker in self.workers().values()]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        waited = self.forebay("wait", "prices", "--cached", "0.01", "--timeout", "4s")
        self.assertEqual(waited.code, 124, waited.err)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        self.ok("wait", "prices", "--cached", "1.0", "--timeout", "30s")

    def test_blocks_dropped_behind_controls_back_lower_the_ratio(self):
        self.loaded()
        # A worker that is killed and whose tier is gone when it comes back.
        pid = self.pid("default-1")
        held = self.workers()["default-1"]["usedBytes"]
        self.assertGreater(held, 0)
        os.kill(pid, signal.SIGSTOP)
        tier = self.state / "default-1" / "tier"
        if os.path.ismount(tier):
            for segment in tier.glob("seg-*"):
                os.truncate(segment, 0)
        else:
            self.skipTest("needs an own mount")
        os.kill(pid, signal.SIGKILL)
        total = self.dataset("prices")["totalBytes"]
        self.await_status(lambda s: s["datasets"][0]["cachedBytes"] == total - held,
                          "fewer bytes", timeout=15)


class Recounted(GroupFaults):
    """What status says of the workers, against the slot headers in their tiers."""

    BLOCK_MAX = 4 * MIB  # What workers of a group take by default.

    def blocks(self, name):
        return tier_reader.read_tier(self.state / name / "tier", self.BLOCK_MAX)

    def await_recount(self, what, names=("default-0", "default-1")):
        """Soon status says of each worker what a recount says: within 2 s on an idle machine."""
        def agrees(status):
            said = {w["name"]: (w["usedBytes"], w["blocks"]) for w in status["workers"]}
            counted = {}
            for name in names:
                blocks = self.blocks(name)
                counted[name] = (sum(block.length for block in blocks), len(blocks))
            self.last = said, counted
            return said == counted
        self.await_status(agrees, f"the recount after {what}")

    def test_status_agrees_with_a_recount(self):
        self.loaded()
        self.await_recount("a load")
        self.assertEqual(sum(len(self.blocks(name)) for name in self.workers()), 32)
        self.ok("evict", "prices", "/f0")
        self.await_recount("an eviction")
        self.assertEqual(sum(len(self.blocks(name)) for name in self.workers()), 28)
        old = self.pid("default-0")
        os.kill(old, signal.SIGKILL)
        self.await_status(lambda s: any(w["name"] == "default-0" and w["state"] == "Ready"
                                        and w["pid"] != old for w in s["workers"]), "back")
        self.await_recount("a kill")

    def test_punched_blocks_are_given_up_and_only_they_are_read_again(self):
        data = self.loaded()
        total = self.dataset("prices")["totalBytes"]
        before = self.upstream_bytes("prices")
        held = sorted(self.blocks("default-1"), key=lambda block: (block.file, block.offset))
        half = held[:len(held) // 2]
        self.assertTrue(half)
        for block in half:
            subprocess.run(["fallocate", "--punch-hole", "--offset", str(block.offset),
                            "--length", str(block.length), str(block.file)], check=True)
        lost = sum(block.length for block in half)
        self.await_status(lambda s: s["datasets"][0]["cachedBytes"] == total - lost,
                          "exactly the lost bytes are missing")
        self.await_recount("the punch")
        self.read_all(data)
        self.await_ratio("prices", 1.0)
        self.assertEqual(self.upstream_bytes("prices") - before, lost)
        self.assertEqual(self.pids_of_all(), self.first_pids)

    def loaded(self, *arguments, **more):
        data = super().loaded(*arguments, **more)
        self.first_pids = self.pids_of_all()
        return data

    def pids_of_all(self):
        return {name: worker["pid"] for name, worker in self.workers().items()}

    def test_files_that_others_cut_or_remove_kill_no_worker(self):
        data = self.loaded()
        for index, act in enumerate((lambda file: os.truncate(file, 0), os.unlink)):
            with self.subTest(act=index):
                for file in sorted((self.state / "default-1" / "tier").glob("seg-*.data")):
                    act(file)
                self.await_status(lambda s: [w["blocks"] for w in s["workers"]
                                             if w["name"] == "default-1"] == [0], "none is held")
                self.read_all(data)
                self.await_ratio("prices", 1.0)
                self.await_recount("the refill")
                self.assertEqual(self.pids_of_all(), self.first_pids)


class ControlDies(GroupFaults):
    def test_reads_go_on_and_up_adopts_the_same_processes(self):
        data = self.loaded()
        before = {name: w["pid"] for name, w in self.workers().items()}
        bytes_before = self.upstream_bytes("prices")
        self.kill_control()
        self.read_all(data)  # By group.json and by the workers' maps.
        self.up(2)
        self.assertEqual({name: w["pid"] for name, w in self.workers().items()}, before)
        self.await_ratio("prices", 1.0)
        self.read_all(data)
        self.assertLessEqual(self.upstream_bytes("prices"), 1.02 * bytes_before)

    def test_restarted_while_a_worker_is_away(self):
        data = self.loaded(workers=3)
        away = self.pid("default-1")
        before = self.upstream_bytes("prices")
        os.kill(away, signal.SIGSTOP)
        self.kill_control()
        self.up(3, ready=False)
        self.await_status(lambda s: sum(w["state"] == "Ready" for w in s["workers"]) == 2, "two")
        os.kill(away, signal.SIGCONT)
        self.await_status(lambda s: sum(w["state"] == "Ready" for w in s["workers"]) == 3, "three")
        self.assertEqual(self.pid("default-1"), away)
        self.await_ratio("prices", 1.0)
        self.read_all(data)
        self.assertEqual(self.upstream_bytes("prices"), before)

    def test_down_without_control(self):
        self.loaded()
        pids = [worker["pid"] for worker in self.workers().values()]
        self.kill_control()
        self.ok("down")
        for pid in pids:
            self.assertFalse(group_case.runs(pid))
        self.assertNotIn(str(self.dir), pathlib.Path("/proc/self/mounts").read_text())

    def test_a_record_of_another_process_harms_nobody(self):
        self.loaded()
        self.kill_control()
        victim = subprocess.Popen(["sleep", "1000"])
        self.addCleanup(victim.wait)
        self.addCleanup(victim.kill)
        (self.state / "workers" / "default-7.pid").write_text(f"{victim.pid} 12345\n")
        self.up(2)
        self.ok("down")
        self.assertIsNone(victim.poll())


class StateFails(GroupFaults):
    def test_a_full_disk_under_the_state_dir(self):
        small = self.dir / "small"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "small", str(small)], check=True)
        self.state = small / "state"
        self.api = group_case.Api(self.state / "control.sock")
        root = self.old_tree({"a": b"x" * 1000})
        self.up(1)
        self.create("before", root)
        filler = small / "filler"
        with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"\0" * 4096):
                pass
        outcome = self.forebay("dataset", "create", "after", "--mount", f"file://{root}")
        self.check(outcome, 1, "registry")
        # All documents or none: the file has room for some of these.
        documents = self.dir / "many.yaml"
        documents.write_text("---\n".join(
            f"apiVersion: data.fluid.io/v1alpha1\nkind: Dataset\nmetadata: {{name: d{i}}}\n"
            f"spec: {{mounts: [{{mountPoint: \"file://{root}\", name: data}}]}}\n"
            for i in range(400)))
        os.truncate(filler, filler.stat().st_size - 65536)
        self.check(self.forebay("apply", "-f", str(documents)), 1, "registry")
        self.assertEqual([d["name"] for d in self.status()["datasets"]], ["before"])
        self.assertEqual(self.ok("cat", "forebay://before/a"), b"x" * 1000)
        filler.unlink()
        self.create("after", root)
        self.ok("down")


if __name__ == "__main__":
    unittest.main()
