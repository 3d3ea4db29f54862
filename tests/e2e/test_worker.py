"""A worker's life: start, refusals, metrics, orderly end."""

import os
import pathlib
import signal
import socket
import unittest

import harness


class Life(harness.ForebayTest):
    def one(self, *more, memory="64MiB", **settings):
        members = self.write_members([("life", f"unix:{self.dir}/w")], allow=["file:///"],
                                     **settings)
        return self.start_worker("life", f"unix:{self.dir}/w", members, *more, memory=memory)

    def test_ready_line_health_and_metrics(self):
        worker = self.one()
        self.assertEqual(worker.ready_line, f"ready life unix:{self.dir}/w\n")
        self.assertEqual(harness.http_get(worker.http, "/healthz"), (200, "ok\n"))
        metrics = worker.metrics()
        self.assertEqual(metrics['forebay_cache_capacity_bytes{tier="memory"}'] > 0, True)
        self.assertEqual(harness.http_get(worker.http, "/secret")[0], 404)

    def test_signals_end_it_in_order(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=number):
                worker = self.one()
                self.assertEqual(worker.stop(number), 0)
                self.assertFalse((self.state / "life" / "tier").exists())
                self.assertFalse(pathlib.Path(self.state, "life.sock").exists())
                self.assertFalse(os.path.ismount(self.state / "life" / "tier"))
                self.assertFalse(os.path.exists(f"/dev/shm/forebay-{os.geteuid()}/life"))

    def test_a_crash_keeps_nothing_from_starting_again(self):
        self.one().kill()
        worker = self.one()
        self.assertTrue(worker.ready_line)
        self.assertEqual(harness.http_get(worker.http, "/healthz")[0], 200)

    def test_http_over_tcp(self):
        port = harness.free_port()
        self.one("--http", f"127.0.0.1:{port}")
        self.assertEqual(harness.http_get(f"127.0.0.1:{port}", "/healthz"), (200, "ok\n"))

    def test_a_given_tier_directory_is_used_and_kept(self):
        tier = pathlib.Path(f"/dev/shm/{self.dir.name}")
        tier.mkdir()
        self.addCleanup(tier.rmdir)
        worker = self.one("--tier-dir", tier)
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(list(tier.iterdir()), [])

    def test_a_long_state_path_has_its_socket_elsewhere(self):
        self.state = self.dir / ("s" * 100)
        worker = self.one("--http", f"unix:{self.dir}/http")
        self.assertEqual(worker.stop(), 0)
        worker = self.one()
        self.assertIn("/run/forebay/", worker.log.read_text())


class Refusals(harness.ForebayTest):
    def refused(self, code, texts, *arguments, members=None, name="w", address=None,
                memory="64MiB"):
        members = members or self.write_members([("w", f"unix:{self.dir}/w")], allow=["file:///"])
        outcome = self.run_forebay("worker", "--name", name, "--address",
                                   address or f"unix:{self.dir}/w", "--memory", memory, "--members",
                                   members, "--state-dir", self.state, *arguments, timeout=20)
        self.check(outcome, code, *texts)
        self.assertEqual(outcome.out, b"")

    def test_name_and_address_must_agree(self):
        self.refused(2, ["--name", '"x"'], name="x")
        self.refused(2, ["--address"], address=f"unix:{self.dir}/other")
        self.refused(2, ["--address"], address="nonsense")

    def test_memory(self):
        self.refused(2, ["--memory", "block"], memory="1MiB")
        self.refused(2, ["--memory", '"lots"'], memory="lots")

    def test_members_files(self):
        for name, text in {"empty": "", "word": "hello", "twice":
                           "[{name: w, address: 'unix:/a'}, {name: w, address: 'unix:/b'}]",
                           "size": "{members: [], blockSize: 3}"}.items():
            with self.subTest(name=name):
                path = self.dir / name
                path.write_text(text)
                self.refused(2, ["--members"], members=path)
        self.refused(2, ["--members", "no such file"], members=self.dir / "none")

    def test_beyond_loopback_needs_insecure_and_allow(self):
        members = self.write_members([("w", "0.0.0.0:0")])
        self.refused(2, ["--insecure"], members=members, address="0.0.0.0:0")
        self.refused(2, ["allow"], "--insecure", members=members, address="0.0.0.0:0")
        self.refused(2, ["--http", "--insecure"], "--http", "0.0.0.0:0")

    def test_a_wrong_allow_is_found_at_start(self):
        members = self.write_members([("w", f"unix:{self.dir}/w")], allow=["s3:/b"])
        self.refused(2, ["--members", "allow", "s3:/b"], members=members)

    def test_taken_addresses(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            members = self.write_members([("w", address)], allow=["file:///"])
            self.refused(1, [address, "in use"], members=members, address=address)
            self.refused(1, ["--http", address, "in use"], "--http", address)

    def test_two_workers_of_one_name(self):
        members = self.write_members([("w", f"unix:{self.dir}/w")], allow=["file:///"])
        self.start_worker("w", f"unix:{self.dir}/w", members)
        self.refused(1, ["already in use"], members=members)


if __name__ == "__main__":
    unittest.main()
