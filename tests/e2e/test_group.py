"""A group: up, datasets, loads, waits, status, down."""

import concurrent.futures
import json
import os
import pathlib
import signal
import threading
import unittest

import group_case
import harness
from group_case import content

MIB = 1 << 20


class Life(group_case.GroupTest):
    def test_up_dataset_load_cat_down(self):
        files = {f"a/{i}.bin": content(300_000 + i, i) for i in range(20)}
        files["big.bin"] = content(9 * MIB, 99)
        root = self.old_tree(files)
        self.up(3)
        out = self.create("prices", root)
        self.assertEqual(out, b"dataset.data.fluid.io/prices created\n")
        self.assertEqual(self.create("prices", root),
                         b"dataset.data.fluid.io/prices unchanged\n")
        self.await_ratio("prices", 0.0)
        self.ok("load", "prices")
        status = self.await_ratio("prices", 1.0)
        dataset = status["datasets"][0]
        self.assertEqual(dataset["files"], len(files))
        self.assertEqual(dataset["totalBytes"], sum(map(len, files.values())))
        self.assertEqual(dataset["cachedBytes"], dataset["totalBytes"])
        self.assertEqual(dataset["phase"], "Bound")
        self.ok("wait", "prices", "--cached", "100%")
        before = self.upstream_bytes("prices")
        for name, data in files.items():
            self.assertEqual(self.ok("cat", f"forebay://prices/{name}"), data)
        self.assertEqual(self.upstream_bytes("prices"), before)
        self.assertEqual(before, dataset["totalBytes"])
        self.assertEqual(self.forebay("down").code, 0)
        self.assertEqual(self.control.wait(timeout=harness.START_TIMEOUT), 0)
        self.check_nothing_is_left()

    def check_nothing_is_left(self):
        mounts = pathlib.Path("/proc/self/mounts").read_text()
        self.assertNotIn(str(self.dir), mounts)
        left = sorted(p.name for p in self.state.iterdir())
        self.assertEqual([n for n in left if n.endswith(".sock") or n.startswith("default-")], [])
        self.assertEqual(list((self.state / "workers").iterdir()), [])

    def test_an_interrupt_drains_and_cleans_up(self):
        self.up(2)
        pids = [worker["pid"] for worker in self.workers().values()]
        self.assertEqual(len(pids), 2)
        self.control.send_signal(signal.SIGINT)
        self.assertEqual(self.control.wait(timeout=harness.START_TIMEOUT), 0)
        for pid in pids:
            self.assertFalse(group_case.runs(pid))
        self.check_nothing_is_left()

    def test_detached(self):
        out = self.ok("up", "--workers", "2", "--memory-per-worker", "64MiB", "--detach")
        self.assertTrue(out.startswith(b"ready "), out)
        self.assertEqual(len(self.workers()), 2)
        self.assertEqual({w["state"] for w in self.workers().values()}, {"Ready"})
        self.ok("down")
        self.check_nothing_is_left()
        self.ok("down")  # Idempotent.

    def test_datasets_outlive_the_group(self):
        root = self.old_tree({"a": b"x" * 1000})
        self.up(1)
        self.create("prices", root)
        self.ok("down")
        self.control.wait(timeout=harness.START_TIMEOUT)
        self.up(1)
        self.assertEqual(self.ok("cat", "forebay://prices/a"), b"x" * 1000)

    def test_who_starts_without_control_is_not_behind_who_asked_it(self):
        def check_file():
            told = self.api.get("/internal/v1/group")[1]["map"]
            written = json.loads((self.state / "group.json").read_text())["map"]
            self.assertGreaterEqual(int(written["epoch"]), int(told["epoch"]))
            return told["members"]
        self.up(1)
        check_file()
        worker, = self.workers().values()
        os.kill(worker["pid"], signal.SIGKILL)
        self.await_status(lambda s: check_file() and s["workers"][0]["state"] == "Ready"
                          and s["workers"][0]["pid"] != worker["pid"], "restarted worker", 30)
        self.kill_control()
        file = json.loads((self.state / "group.json").read_text())
        self.assertFalse(file["map"]["members"][0]["masked"])

    def test_zero_workers_is_a_legal_state(self):
        root = self.old_tree({"a": b"x" * 1000})
        self.up(0)
        self.create("prices", root)
        self.assertEqual(self.ok("cat", "forebay://prices/a"), b"x" * 1000)
        self.await_ratio("prices", 0.0)

    def test_two_ups_on_one_state_dir(self):
        self.up(1)
        outcome = self.forebay("up", "--workers", "1", "--memory-per-worker", "64MiB")
        self.check(outcome, 1, "--state-dir", "forebay down")
        self.assertEqual(len(self.workers()), 1)

    def test_two_groups_never_touch(self):
        root = self.old_tree({"a": b"x" * 1000})
        self.up(1)
        self.create("prices", root)
        other = self.dir / "other"
        second = self.start_forebay("up", "--state-dir", other, "--workers", "1",
                                    "--memory-per-worker", "64MiB", stdout=-1)
        self.assertTrue(second.stdout.readline().startswith(b"ready "))
        listed = self.run_forebay("status", "-o", "json", "--state-dir", other)
        self.assertEqual(json.loads(listed.out)["datasets"], [])
        self.assertEqual(self.run_forebay("down", "--state-dir", other).code, 0)
        self.assertEqual(self.ok("cat", "forebay://prices/a"), b"x" * 1000)


class Datasets(group_case.GroupTest):
    def test_several_mounts_in_one_tree(self):
        root = self.old_tree({"raw/a": b"raw", "out/b": b"out", "out/deep/c": b"c"})
        self.up(2)
        self.ok("dataset", "create", "mixed", "--mount", f"/in=file://{root}/raw",
                "--mount", f"/results/today=file://{root}/out")
        names = self.ok("ls", "-r", "forebay://mixed/").decode().split()
        self.assertIn("in/a", " ".join(names))
        self.assertEqual(self.ok("cat", "forebay://mixed/in/a"), b"raw")
        self.assertEqual(self.ok("cat", "forebay://mixed/results/today/deep/c"), b"c")
        self.ok("load", "mixed")
        self.await_ratio("mixed", 1.0)

    def test_block_sizes_differ_by_dataset(self):
        root = self.old_tree({"a": content(1_000_000)})
        self.up(2)
        self.create("small", root, "--block-size", "64KiB")
        self.create("large", root, "--block-size", "1MiB")
        for name in ("small", "large"):
            self.ok("load", name)
            self.await_ratio(name, 1.0)
            self.assertEqual(self.ok("cat", f"forebay://{name}/a"), content(1_000_000))
        outcome = self.forebay("dataset", "create", "huge", "--mount", f"file://{root}",
                               "--block-size", "16MiB")
        self.check(outcome, 2, "--block-size", "at most 4 MiB", "--block-size-max 16777216")

    def test_a_load_of_half_reads_half_and_evict_takes_back(self):
        root = self.old_tree({f"d{i}/f": content(256 << 10, i) for i in range(4)})
        self.up(2)
        self.create("prices", root, "--block-size", "64KiB")
        outcome = self.forebay("load", "prices", "d0", "/d1/", "--replicas", "3")
        self.check(outcome, 0, "each block has 2 holders, as many as there are workers; 3 were")
        self.await_ratio("prices", 0.5)
        waited = self.forebay("wait", "prices", "--cached", "0.6", "--timeout", "1s")
        self.assertEqual(waited.code, 124, waited.err)
        self.ok("wait", "prices", "--cached", "1.0", "--path", "/d0")
        self.ok("evict", "prices", "/d0")
        self.await_ratio("prices", 0.25)
        self.ok("evict", "prices")
        self.await_ratio("prices", 0.0)

    def test_a_tenth_replaced_reads_the_less_after_the_bound(self):
        root = self.old_tree({f"f{i}": content(64 << 10, i) for i in range(20)})
        self.up(2)
        self.create("prices", root, "--block-size", "64KiB", "--staleness", "1s")
        self.ok("load", "prices", *[f"f{i}" for i in range(10)], "--replicas", "2")
        self.await_ratio("prices", 0.5)
        for i in (0, 10):  # One that was loaded, and one that was not.
            (root / f"f{i}").write_bytes(content(64 << 10, 77 + i))
        self.await_ratio("prices", 0.45)

    def test_pinned_moves_only_when_refreshed(self):
        root = self.old_tree({"a": b"old" * 1000})
        self.up(1)
        self.create("prices", root, "--staleness", "pinned")
        self.ok("load", "prices")
        (root / "a").write_bytes(b"new" * 1000)
        self.assertEqual(self.ok("cat", "forebay://prices/a"), b"old" * 1000)
        self.ok("dataset", "refresh", "prices")
        self.assertEqual(self.ok("cat", "forebay://prices/a"), b"new" * 1000)

    def pinned(self, workers=2):
        """A loaded pinned dataset whose store then changed: `a` replaced, `b` deleted, `c` new."""
        root = self.old_tree({"a": b"old" * 1000, "b": b"gone" * 1000, "d/e": b"deep"})
        self.up(workers)
        self.create("prices", root, "--staleness", "pinned")
        self.ok("load", "prices")
        (root / "a").write_bytes(b"newer" * 1000)
        (root / "b").unlink()
        (root / "c").write_bytes(b"c")
        return root

    def check_snapshot(self, held=True):
        listed = json.loads(self.ok("ls", "-o", "json", "forebay://prices/"))
        sizes = {e["name"]: e["size"] for e in listed if e["type"] == "file"}
        self.assertEqual(sizes, {"a": 3000, "b": 4000})
        self.check(self.forebay("stat", "forebay://prices/c"), 1, "c")
        for name, size in sizes.items():
            asked = json.loads(self.ok("stat", "-o", "json", f"forebay://prices/{name}"))
            self.assertEqual(asked[0]["size"], size)
        if held:
            self.assertEqual(self.ok("cat", "forebay://prices/a"), b"old" * 1000)
            self.assertEqual(self.ok("cat", "forebay://prices/b"), b"gone" * 1000)

    def restart_worker(self):
        worker = next(iter(self.workers().values()))
        os.kill(worker["pid"], signal.SIGKILL)
        self.await_status(lambda s: all(w["state"] == "Ready" and w["pid"] != worker["pid"]
                                        for w in s["workers"]), "restarted worker", 30)

    def test_a_snapshot_outlives_worker_and_control(self):
        self.pinned(workers=1)
        self.check_snapshot()
        self.restart_worker()
        self.check_snapshot()
        self.kill_control()
        self.check_snapshot()  # By the worker, and by the file of the dead control.
        self.up(1)
        self.await_ratio("prices", 1.0)  # Control has what it goes by.
        self.check_snapshot()
        self.kill_control()
        for record in self.state.glob("workers/*.pid"):
            os.kill(int(record.read_text().split()[0]), signal.SIGKILL)
        self.check_snapshot(held=False)  # By the file alone.
        self.up(1)
        self.await_ratio("prices", 1.0)  # Control has what it goes by.
        self.check_snapshot()
        self.ok("dataset", "refresh", "prices")
        self.assertEqual(self.ok("cat", "forebay://prices/c"), b"c")
        self.check(self.forebay("stat", "forebay://prices/b"), 1, "b")

    def test_a_pinned_version_that_is_nowhere_is_no_other(self):
        self.pinned()
        self.ok("evict", "prices")
        for name in ("a", "b"):
            outcome = self.forebay("cat", f"forebay://prices/{name}")
            self.assertEqual((outcome.code, outcome.out), (1, b""))

    def test_fifty_readers_of_what_is_refreshed_see_old_or_new(self):
        old, new = content(5 * MIB, 1), content(5 * MIB, 2)
        root = self.old_tree({"a": old})
        self.up(2)
        self.create("prices", root, "--staleness", "pinned", "--block-size", "1MiB")
        self.ok("load", "prices")
        (root / "a").write_bytes(new)
        refreshed = threading.Event()

        def read(number):
            if number == 10:
                self.ok("dataset", "refresh", "prices")
                refreshed.set()
            late = refreshed.is_set()
            data = self.ok("cat", "forebay://prices/a")
            self.assertIn(data, (new,) if late else (old, new))
            return data == new
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            seen = list(pool.map(read, range(50)))
        self.assertFalse(seen[0])
        self.assertTrue(seen[-1])

    def test_a_damaged_snapshot_is_made_anew_for_all(self):
        self.pinned(workers=2)
        self.check_snapshot()
        self.kill_control()
        file, = (self.state / "snapshots").iterdir()
        data = bytearray(file.read_bytes())
        data[60] ^= 1
        file.write_bytes(data)
        self.check_snapshot()  # By what the workers have.
        self.up(2)
        for name, code in (("a", 0), ("b", 1), ("c", 0)):
            harness.wait_until(
                lambda name=name, code=code:
                self.forebay("stat", f"forebay://prices/{name}").code == code, name, 10)
        self.assertEqual(self.ok("cat", "forebay://prices/a"), b"newer" * 1000)

    def test_a_snapshot_that_cannot_be_stored_is_none(self):
        self.pinned(workers=1)
        snapshots = self.state / "snapshots"
        snapshots.rename(self.dir / "away")
        snapshots.write_text("in the way")
        self.check(self.forebay("dataset", "refresh", "prices"), 1, "snapshot stays")
        self.check_snapshot()
        snapshots.unlink()
        (self.dir / "away").rename(snapshots)
        self.ok("dataset", "refresh", "prices")
        self.assertEqual(self.ok("cat", "forebay://prices/c"), b"c")

    def test_ten_thousand_names_are_pinned(self):
        root = self.old_tree({f"d/{i:05}": b"x" for i in range(10_000)})
        self.up(2)
        self.create("many", root, "--staleness", "pinned")
        self.assertEqual(len(self.ok("ls", "-o", "name", "forebay://many/d/").split()), 10_000)
        (root / "d" / "late").write_bytes(b"late")
        self.assertEqual(len(self.ok("ls", "-o", "name", "forebay://many/d/").split()), 10_000)
        self.ok("dataset", "refresh", "many")
        self.assertEqual(len(self.ok("ls", "-o", "name", "forebay://many/d/").split()), 10_001)

    def test_snapshots_go_with_their_datasets(self):
        self.pinned(workers=1)
        snapshots = self.state / "snapshots"
        self.assertEqual(len(list(snapshots.iterdir())), 1)
        self.kill_control()
        (snapshots / ("0" * 32)).write_bytes(b"of nobody")
        self.up(1)
        self.assertEqual(len(list(snapshots.iterdir())), 1)
        self.ok("dataset", "delete", "prices")
        self.assertEqual(list(snapshots.iterdir()), [])

    def test_staleness_zero_sees_every_change(self):
        root = self.old_tree({"a": b"1"})
        self.up(1)
        self.create("prices", root, "--staleness", "0")
        for i in range(5):
            (root / "a").write_bytes(b"x" * (i + 1))
            self.assertEqual(self.ok("cat", "forebay://prices/a"), b"x" * (i + 1))

    def test_deleted_means_gone_with_its_blocks(self):
        root = self.old_tree({"a": content(MIB)})
        self.up(1)
        self.create("prices", root)
        self.ok("load", "prices")
        self.assertEqual(self.ok("dataset", "delete", "prices"),
                         b"dataset.data.fluid.io/prices deleted\n")
        self.check(self.forebay("cat", "forebay://prices/a"), 1, "forebay datasets")
        self.await_status(lambda s: s["workers"][0]["usedBytes"] == 0, "blocks forgotten")

    def test_files_that_were_just_written_are_loaded_all_the_same(self):
        self.up(2)
        self.create("d", self.make_tree({f"{i}": content(1000, i) for i in range(5)}))
        self.ok("load", "d")
        self.await_ratio("d", 1.0)

    def test_made_again_it_can_be_loaded_at_once(self):
        root = self.old_tree({"a": content(MIB), "b": content(MIB, 2)})
        self.up(2)
        self.create("d", root)
        self.ok("load", "d")
        self.ok("dataset", "delete", "d")
        self.create("d", root)
        self.ok("wait", "d", "--cached", "0")
        self.assertEqual(self.dataset("d")["cachedBytes"], 0)
        self.ok("load", "d")
        self.await_ratio("d", 1.0)
        # Another block size makes other blocks of it, and so another dataset.
        self.create("d", root, "--block-size", "1MiB")
        self.ok("load", "d")
        self.assertEqual(self.ok("evict", "d"),
                         b"dataset.data.fluid.io/d evicted (2 MiB)\n")

    def test_an_empty_dataset_is_cached(self):
        (self.dir / "data").mkdir()
        self.up(1)
        self.create("nothing", self.dir / "data")
        dataset = self.await_ratio("nothing", 1.0)["datasets"][0]
        self.assertEqual((dataset["files"], dataset["totalBytes"]), (0, 0))

    def test_the_article_is_taken_and_stops_where_it_must(self):
        manifest = harness.ROOT / "tests/compat/article-dataset-runtime.yaml"
        self.up(1)
        out = self.ok("apply", "-f", manifest).decode()
        self.assertIn("dataset.data.fluid.io/metabit-juice-research created", out)
        dataset = self.dataset("metabit-juice-research")
        self.assertEqual(dataset["phase"], "NotBound")
        self.assertEqual(dataset["conditions"][0]["reason"], "JuiceFSCloudVolume")
        out = self.ok("apply", "-f", manifest).decode()
        self.assertIn("unchanged", out)
        self.ok("delete", "-f", manifest)
        self.check(self.forebay("delete", "-f", manifest), 1, "metabit-juice-research: not found")
        self.assertEqual(self.status()["datasets"], [])


class Loads(group_case.GroupTest):
    def slow_load(self, files, rate):
        """The id of a load of so many files of a block each, which takes some seconds."""
        root = self.old_tree({f"f{i}": content(MIB, i) for i in range(files)})
        self.up(1)
        self.create("prices", root, "--block-size", "1MiB")
        return self.ok("load", "prices", "--throttle", rate, "--detach").decode().split()[-1]

    def await_complete(self, load):
        harness.wait_until(
            lambda: self.api.get(f"/v1/loads/{load}")[1]["phase"] == "Complete", "load", 60)
        self.await_ratio("prices", 1.0)

    def test_more_than_fits_is_named(self):
        root = self.old_tree({f"f{i}": content(4 * MIB, i) for i in range(12)})
        self.up(1, memory="24MiB")
        self.create("prices", root, "--block-size", "1MiB")
        outcome = self.forebay("load", "prices")
        self.check(outcome, 1, "memory")
        load = self.status()["loads"][0]
        self.assertEqual(load["phase"], "Failed")
        self.assertGreater(load["missing"], 0)

    def test_pause_resume_cancel(self):
        load = self.slow_load(8, "1MiB")
        self.ok("load-pause", load)
        self.assertEqual(self.api.get(f"/v1/loads/{load}")[1]["phase"], "Paused")
        self.assertEqual(self.api.post(f"/v1/loads/{load}/resume")[1]["phase"], "Running")
        self.ok("load-cancel", load)
        self.assertEqual(self.api.get(f"/v1/loads/{load}")[1]["phase"], "Cancelled")
        self.assertEqual(self.api.post(f"/v1/loads/{load}/resume")[0], 409)

    def test_a_load_goes_on_after_control_died(self):
        load = self.slow_load(6, "1MiB")
        self.kill_control()
        self.up(1)
        self.await_complete(load)

    def test_a_load_goes_on_after_its_worker_died(self):
        load = self.slow_load(6, "1MiB")
        self.await_status(lambda s: s["loads"][0]["doneBytes"] > 0, "a first block")
        os.kill(self.workers()["default-0"]["pid"], signal.SIGKILL)
        self.await_complete(load)

    def test_what_is_evicted_during_a_load_is_loaded_again(self):
        load = self.slow_load(6, "2MiB")
        self.await_status(lambda s: s["loads"][0]["doneBytes"] > 0, "a first block")
        self.ok("evict", "prices")
        self.await_complete(load)


if __name__ == "__main__":
    unittest.main()
