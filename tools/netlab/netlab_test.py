"""Tests of netlab. As root: python3 tools/netlab/netlab_test.py"""

import os
import select
import signal
import subprocess
import sys
import textwrap
import time
import unittest

import netlab

NAME = "netlab-test"
SINK = """
import socket
server = socket.create_server(("0.0.0.0", 9))
print("ready", flush=True)
connection, _ = server.accept()
while connection.recv(1 << 20): pass
"""
SOURCE = """
import socket, sys
with socket.create_connection((sys.argv[1], 9)) as connection:
    for _ in range(int(sys.argv[2])): connection.sendall(bytes(1 << 20))
    connection.shutdown(socket.SHUT_WR)
    connection.recv(1)
"""


def traces():
    """What labs of this test's name have left on the machine."""
    found = [n for n in os.listdir("/run/netns") if n.startswith(f"fb-{NAME}-")]
    return found + [f for f in os.listdir(netlab.STATE_ROOT) if f == f"fb-{NAME}"]


def send(lab, source, sink, mebibytes):
    """Sends from `source` to `sink`; returns Mbit/s of payload."""
    receiver = lab.start(sink, [sys.executable, "-c", SINK], stdout=subprocess.PIPE)
    receiver.stdout.readline()
    start = time.monotonic()
    sender = lab.start(source, [sys.executable, "-c", SOURCE, sink.address, str(mebibytes)])
    code = sender.wait(60)
    seconds = time.monotonic() - start
    receiver.stdout.close()
    receiver.wait(10)
    if code != 0:
        raise AssertionError(f"the sender ended with {code}")
    return mebibytes * (1 << 20) * 8 / 1e6 / seconds


def ended(pidfd, seconds):
    """Whether the process of `pidfd` ends within `seconds`."""
    return bool(select.select([pidfd], [], [], seconds)[0])


class NetlabTest(unittest.TestCase):
    def test_caps_both_directions_and_counts_them(self):
        with netlab.Lab(NAME) as lab:
            capped, free = lab.host("capped", 100), lab.host("free")
            for source, sink in ((capped, free), (free, capped)):
                before = lab.counters(capped)
                rate = send(lab, source, sink, 12)
                after = lab.counters(capped)
                self.assertLess(rate, 100)
                self.assertGreater(rate, 60)
                moved = max(after.sent - before.sent, after.received - before.received)
                self.assertGreaterEqual(moved, 12 << 20)

    def test_an_open_link_is_faster_than_a_capped_one(self):
        with netlab.Lab(NAME) as lab:
            self.assertGreater(send(lab, lab.host("a"), lab.host("b"), 64), 500)

    def test_routes_use_cubic(self):
        with netlab.Lab(NAME) as lab:
            host = lab.host("a")
            routes = subprocess.run(["ip", "-n", host.namespace, "route"], check=True,
                                    capture_output=True, text=True).stdout
            self.assertIn("congctl cubic", routes)

    def test_closing_ends_processes_and_leaves_nothing(self):
        with netlab.Lab(NAME) as lab:
            stubborn = lab.start(lab.host("a"), ["sh", "-c", "trap '' TERM; echo; sleep 60 & wait"],
                                 stdout=subprocess.PIPE)
            stubborn.stdout.readline()
            os.makedirs(f"{lab.folder}/mount")
            subprocess.run(["mount", "-t", "tmpfs", "none", f"{lab.folder}/mount"], check=True)
            netlab.STOP_SECONDS = 0.2
        stubborn.stdout.close()
        self.assertIsNotNone(stubborn.poll())
        self.assertEqual(traces(), [])

    def test_a_killed_run_is_cleaned_up_by_the_next(self):
        script = textwrap.dedent(f"""
            import netlab, time
            lab = netlab.Lab({NAME!r}).__enter__()
            child = lab.start(lab.host("a"), ["sh", "-c", "sleep 600 & echo $$ $!; wait"])
            time.sleep(600)
        """)
        driver = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True,
                                  cwd=os.path.dirname(os.path.abspath(__file__)))
        child, grandchild = (os.pidfd_open(int(pid)) for pid in driver.stdout.readline().split())
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        driver.stdout.close()
        self.assertTrue(ended(child, 5))  # Tied to the driver.
        self.assertFalse(ended(grandchild, 0))
        with netlab.Lab(NAME) as lab:
            lab.host("a")  # Would fail, had the old one stayed.
            self.assertTrue(ended(grandchild, 0))
        os.close(child)
        os.close(grandchild)
        self.assertEqual(traces(), [])

    def test_two_labs_of_one_name_exclude_each_other(self):
        with netlab.Lab(NAME) as lab:
            lab.host("a")
            with self.assertRaisesRegex(netlab.LabError, "another run"):
                netlab.Lab(NAME).__enter__()
            self.assertIn(f"fb-{NAME}-a", traces())


if __name__ == "__main__":
    unittest.main()
