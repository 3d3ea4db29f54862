"""The Debian package, and what its units promise to systemd."""

import os
import pathlib
import re
import socket
import subprocess
import unittest

import group_case
import harness

BUILD = pathlib.Path(harness.BINARY).resolve().parents[2]


class Package(group_case.GroupTest):
    @classmethod
    def setUpClass(cls):
        subprocess.run(["cpack", "-G", "DEB", "-B", str(BUILD / "package")], cwd=BUILD, check=True,
                       capture_output=True)
        cls.deb = next((BUILD / "package").glob("forebay_*.deb"))

    def unpacked(self):
        root = self.dir / "root"
        subprocess.run(["dpkg-deb", "-x", str(self.deb), str(root)], check=True)
        return root

    def test_it_holds_the_program_its_units_and_its_settings(self):
        root = self.unpacked()
        version = subprocess.run([root / "usr/bin/forebay", "--version"], check=True,
                                 capture_output=True, text=True).stdout
        self.assertRegex(version, r"\d+\.\d+\.\d+")
        self.assertEqual(os.stat(root / "etc/forebay/environment").st_mode & 0o777, 0o600)
        control = subprocess.run(["dpkg-deb", "-f", str(self.deb), "Depends"], check=True,
                                 capture_output=True, text=True).stdout
        self.assertIn("libsqlite3-0", control)

    def test_systemd_takes_the_units(self):
        root = self.unpacked()
        for unit in sorted((root / "lib/systemd/system").iterdir()):
            # systemd looks for the program itself.
            text = unit.read_text().replace("/usr/bin/forebay", str(root / "usr/bin/forebay"))
            copy = self.dir / unit.name
            copy.write_text(text.replace("file:///usr", f"file://{root}/usr"))
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(copy)],
                                  capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""), unit.name)
            self.assertIn("Type=notify", text)

    def test_it_holds_the_helper_of_mount(self):
        root = self.unpacked()
        for name in ("mount.forebay", "mount.fuse.forebay"):
            helper = root / "usr/sbin" / name
            self.assertEqual(helper.resolve(), (root / "usr/bin/forebay").resolve())
            done = subprocess.run([helper], capture_output=True, text=True)
            self.assertEqual(done.returncode, 1)
            self.assertIn("mount.forebay SOURCE DIR", done.stderr)

    def test_systemd_takes_the_examples(self):
        examples = self.unpacked() / "usr/share/doc/forebay/examples"
        names = sorted(unit.name for unit in examples.iterdir())
        self.assertEqual(names, ["mnt-prices.automount", "mnt-prices.mount"])
        for name in names:
            text = (examples / name).read_text()
            (self.dir / name).write_text(text.replace("file:///usr", f"file://{self.dir}/root/usr"))
        for name in names:
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(self.dir / name)],
                                  capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""), name)

    def test_the_settings_are_those_of_the_verbs(self):
        root = self.unpacked()
        for verb, file in (("up", "control.yaml"), ("worker", "worker.yaml"),
                           ("worker", "near.yaml")):
            text = (root / "etc/forebay" / file).read_text()
            everything = self.dir / file
            everything.write_text(re.sub(r"(?m)^#(\w[\w-]*:)", r"\1", text))
            shown = self.run_forebay(verb, "--config", everything, "--print-config")
            self.assertEqual(shown.code, 0, shown.err)
            self.assertIn(f"# file {everything}", shown.out.decode())


class Notify(group_case.GroupTest):
    def listen(self):
        path = str(self.dir / "notify")
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        receiver.bind(path)
        receiver.settimeout(harness.START_TIMEOUT)
        self.addCleanup(receiver.close)
        return receiver, {"NOTIFY_SOCKET": path}

    def test_control_is_ready_when_it_says_so(self):
        receiver, env = self.listen()
        self.up(1, env=env)
        self.assertEqual(receiver.recv(100), b"READY=1")
        self.control.terminate()
        self.assertEqual(receiver.recv(100), b"STOPPING=1")

    def test_a_worker_is_ready_when_it_says_so(self):
        receiver, env = self.listen()
        members = self.write_members([("n", f"unix:{self.dir}/n")], allow=["file:///"])
        worker = self.start_worker("n", f"unix:{self.dir}/n", members, env=env)
        self.assertEqual(receiver.recv(100), b"READY=1")
        worker.process.terminate()
        self.assertEqual(receiver.recv(100), b"STOPPING=1")


if __name__ == "__main__":
    unittest.main()
