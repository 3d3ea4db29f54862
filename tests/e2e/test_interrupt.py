"""Verbs that wait for a store which does not answer: interrupts, deadlines, and what stays."""

import http.server
import pathlib
import signal
import subprocess
import threading
import time
import unittest

import harness

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}


class SilentStore(http.server.ThreadingHTTPServer):
    """Knows every key as an object of 1 MiB, and never sends a byte of any."""

    daemon_threads = True

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self):
            self.send_response(200)
            self.send_header("Content-Length", str(1 << 20))
            self.send_header("ETag", '"tag"')
            self.end_headers()

        def do_GET(self):
            self.server.asked.set()
            self.server.ended.wait()

        def log_message(self, *arguments):
            pass

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.asked, self.ended = threading.Event(), threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


def children_of(pid):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(entry.name))
    return found


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Interrupt(harness.ForebayTest):
    def setUp(self):
        super().setUp()
        self.store = SilentStore()
        thread = threading.Thread(target=self.store.serve_forever, args=(0.05,))
        thread.start()

        def end():
            self.store.ended.set()
            self.store.shutdown()
            thread.join()
            self.store.server_close()
        self.addCleanup(end)

    def start(self, *arguments):
        process = self.start_forebay(*arguments, "--endpoint-url", self.store.url, env=CREDENTIALS,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertTrue(self.store.asked.wait(harness.START_TIMEOUT))
        return process

    def test_each_verb_ends_quickly_with_130(self):
        verbs = [("cat", "s3://b/k"), ("ls", "s3://b/d/"), ("cp", "s3://b/k", self.dir / "copy"),
                 ("bench", "read", "s3://b/k", "--processes=2", "--tasks=4")]
        for verb in verbs:
            for number in (signal.SIGINT, signal.SIGTERM):
                with self.subTest(verb=verb, signal=number):
                    self.store.asked.clear()
                    process = self.start(*verb)
                    started = time.monotonic()
                    process.send_signal(number)
                    self.assertEqual(process.wait(timeout=10), 130)
                    self.assertLess(time.monotonic() - started, 5)
                    self.assertEqual(process.stdout.read(), b"")
        self.assertEqual([p.name for p in self.dir.iterdir()], [])

    def test_no_process_of_a_bench_outlives_it(self):
        for number in (signal.SIGINT, signal.SIGKILL):
            with self.subTest(signal=number):
                self.store.asked.clear()
                process = self.start("bench", "read", "s3://b/k", "--processes=2", "--tasks=2")
                children = children_of(process.pid)
                self.assertEqual(len(children), 2)
                process.send_signal(number)
                process.wait(timeout=10)
                harness.wait_until(lambda: not any(map(alive, children)), "the end of the children")

    def test_the_read_deadline_is_kept(self):
        started = time.monotonic()
        outcome = self.run_forebay("cat", "s3://b/k", "--endpoint-url", self.store.url,
                                   "--read-timeout", "1s", env=CREDENTIALS)
        self.check(outcome, 1, "s3://b/k")
        self.assertLess(time.monotonic() - started, 10)
        outcome = self.run_forebay(
            "cat", "s3://b/k", "--endpoint-url", self.store.url,
            env=dict(CREDENTIALS, FOREBAY_READ_TIMEOUT="1s"))
        self.check(outcome, 1, "s3://b/k")


if __name__ == "__main__":
    unittest.main()
