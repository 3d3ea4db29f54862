"""Many of everything in one group: waits at a time, and datasets."""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import resource
import sys
import time
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "e2e")]

import group_case  # noqa: E402
import harness  # noqa: E402
from group_case import content  # noqa: E402
from wire_client import GROUP, GROUP_REPLY, WELCOME, Frame, WireClient, sealed, text  # noqa: E402

MIB = 1 << 20
MANY = 10_000
# On an idle machine: 1 s and 1 %. Tests run beside other work.
STATUS_MAX_S = 4
IDLE_MAX = 0.03


class ManyAsk(group_case.GroupTest):
    def test_two_thousand_ask_one_worker_for_the_map_at_once(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(
            resource.RLIMIT_NOFILE)[1]))
        self.up(1)
        [worker] = self.api.get("/v1/workers")[1]["workers"]
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(contextlib.closing(WireClient(worker["address"])))
                       for _ in range(2000)]
            for client in clients:
                self.assertEqual(client.greet(0).type, WELCOME)
            question = Frame(GROUP, request_id=1, deadline_ms=20_000,
                             body=sealed(text("") + text(""))).encode()
            began = time.monotonic()
            for client in clients:
                client.socket.sendall(question)
            replies = [client.receive() for client in clients]
            took = time.monotonic() - began
        print(f"2,000 maps in {took:.2f} s")
        self.assertEqual({reply.type for reply in replies}, {GROUP_REPLY})
        self.assertEqual({json.loads(reply.message())["map"]["members"][0]["name"]
                          for reply in replies}, {"default-0"})
        self.assertLess(took, 2)

    def test_a_thousand_waits_at_once(self):
        root = self.old_tree({f"f{i}": content(MIB, i) for i in range(4)})
        self.up(2)
        self.create("prices", root)
        with concurrent.futures.ThreadPoolExecutor(1000) as pool:
            waits = [pool.submit(self.api.get,
                                 "/v1/datasets/prices/wait?cached=1.0&timeout=60s", timeout=90)
                     for _ in range(1000)]
            self.ok("load", "prices")
            answers = [wait.result() for wait in waits]
        self.assertEqual({status for status, _ in answers}, {200})
        self.assertEqual({answer["reached"] for _, answer in answers}, {True})

    def test_ten_thousand_datasets(self):
        root = self.old_tree({"a": b"x" * 1000})
        self.up(1)
        began = time.monotonic()
        self.create_all(range(MANY), root)
        created = time.monotonic() - began
        worker = self.workers()["default-0"]["pid"]
        harness.wait_until(lambda: max(self.busy()) < IDLE_MAX, "listed and quiet", 240)
        took = []
        for _ in range(5):
            began = time.monotonic()
            self.assertEqual(len(self.api.get("/v1/status")[1]["datasets"]), MANY)
            took.append(time.monotonic() - began)
        busy = self.busy(10)
        resident = {pid: self.resident(pid) for pid in (self.control.pid, worker)}
        print(f"{MANY} datasets: created in {created:.0f} s, status {sorted(took)[2]:.2f} s, idle "
              f"control {busy[0]:.2%} worker {busy[1]:.2%}, resident control "
              f"{resident[self.control.pid] / MIB:.0f} MiB worker {resident[worker] / MIB:.0f} MiB")
        self.assertLess(sorted(took)[2], STATUS_MAX_S)
        self.assertLess(max(busy), IDLE_MAX)
        self.assertLessEqual(resident[self.control.pid], 200e6)
        # Each is served, and is still there after control was killed.
        self.kill_control()
        self.up(1)
        self.assertEqual(self.ok("cat", f"forebay://d{MANY - 1}/a"), b"x" * 1000)
        self.assertEqual(len(self.api.get("/v1/status")[1]["datasets"]), MANY)

    def create_all(self, numbers, root):
        step = 500
        for begin in range(numbers.start, numbers.stop, step):
            documents = "\n---\n".join(
                f"apiVersion: data.fluid.io/v1alpha1\nkind: Dataset\nmetadata: {{name: d{i}}}\n"
                f"spec: {{mounts: [{{mountPoint: \"file://{root}\", name: data, path: \"/\"}}]}}"
                for i in range(begin, begin + step))
            status, answer = self.api.post("/v1/apply", {"documents": documents})
            self.assertEqual(status, 200, answer)

    def resident(self, pid):
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) * 1024

    def busy(self, seconds=2):
        """Shares of a core that control and the worker use."""
        pids = (self.control.pid, self.worker_pid())

        def ticks(pid):
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1]
            return sum(map(int, fields.split()[11:13]))
        before = [ticks(pid) for pid in pids]
        time.sleep(seconds)
        return [(ticks(pid) - b) / os.sysconf("SC_CLK_TCK") / seconds
                for pid, b in zip(pids, before)]

    def worker_pid(self):
        return int((self.state / "workers/default-0.pid").read_text().split()[0])


if __name__ == "__main__":
    unittest.main()
