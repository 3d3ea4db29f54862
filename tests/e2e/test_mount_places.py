"""Where a mount can be, and who sees it: other users, other mount namespaces, hosts that lack
something."""

import os
import subprocess
import unittest

import harness
import mount_case

NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups"


class PlacesTest(mount_case.MountTest):
    def setUp(self):
        super().setUp()
        self.root = self.make_tree({"f": b"hello\n", "sub/g": b"x" * 300_000})
        self.url = f"file://{self.root}"
        self.dir.chmod(0o755)
        self.names = {"FOREBAY": harness.BINARY, "AT": str(self.at), "SOURCE": self.url,
                      "DIR": str(self.dir), "STATE": str(self.state)}

    def alone(self, script, *how, timeout=60):
        """A shell script in a mount namespace of its own."""
        return subprocess.run(
            ["unshare", "-m", *(how or ("--propagation", "private")), "sh", "-ec", script],
            capture_output=True, text=True, timeout=timeout, cwd="/",
            env=harness.clean_environment(self.dir, self.names))

    def start_alone(self, script, *how):
        """The same in the background, up to its first line."""
        process = subprocess.Popen(
            ["unshare", "-m", *how, "sh", "-ec", script], stdout=subprocess.PIPE,
            stdin=subprocess.PIPE, text=True, cwd="/",
            env=harness.clean_environment(self.dir, self.names))

        def end():
            process.kill()
            process.communicate()
        self.addCleanup(end)
        return process, process.stdout.readline()


class Users(PlacesTest):
    def test_any_user_reads_root_s_mount_and_file_modes_hold(self):
        readings = 'cat "$AT/f"; ls "$AT"; sha256sum < "$AT/sub/g"; [ ! -w "$AT/f" ]'
        as_nobody = f"{NOBODY} sh -ec '{readings}'"
        mounted = self.mount(self.url)
        done = self.alone(as_nobody)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout.split()[:3], ["hello", "f", "sub"])
        self.check(self.run_forebay("umount", self.at), 0)
        self.assertEqual(mounted.wait(timeout=20), 0)
        self.mount(self.url, "--file-mode", "0400", "--dir-mode", "0711")
        for refused in ('cat "$AT/f"', 'ls "$AT"', "cat < $AT/sub/g"):
            done = self.alone(f"{NOBODY} sh -c '{refused}'")
            self.assertNotEqual(done.returncode, 0, refused)
            self.assertIn("Permission denied", done.stderr)
        # What it may not read it may look up.
        self.assertEqual(self.alone(f"{NOBODY} stat -c %s $AT/sub/g").stdout, "300000\n")

    def test_who_is_not_root_and_has_no_fusermount3_is_told(self):
        home = self.dir / "home"
        (home / "m").mkdir(parents=True)
        for path in (home, home / "m"):
            os.chown(path, 65534, 65534)
        mount = f'"$DIR/env" HOME="$DIR/home" "$DIR"/{NOBODY} "$FOREBAY" mount "$SOURCE"'
        gone = 'mount -t tmpfs none "${where%/*}"'
        empty = 'mount --bind /dev/null "$where"'
        for lack, words in ((gone, "No such file"), (empty, "Permission denied")):
            done = self.alone(f"""
                PATH=/usr/bin:/bin; where=$(command -v fusermount3)
                cp "$(command -v setpriv)" "$(command -v env)" "$DIR"
                {lack}
                {mount} "$DIR/home/m" """)
            self.assertEqual(done.returncode, 1, done)
            self.assertIn(f"fusermount3: {words}", done.stderr)
            self.assertIn("install the package fuse3", done.stderr)
        self.assertFalse(self.is_mounted(home / "m"))


class Hosts(PlacesTest):
    def test_without_dev_fuse(self):
        mount = '"$FOREBAY" mount "$SOURCE" "$AT" --state-dir "$STATE"'
        empty = "mount -t tmpfs none /dev; mknod -m 666 /dev/null c 1 3"
        for lack, words in ((empty, "/dev/fuse: No such file"),
                            ("mount --bind /dev/null /dev/fuse", "/dev/fuse: another device")):
            for more in ("", " --foreground", " --near-memory 16MiB"):
                with self.subTest(lack=lack, more=more):
                    done = self.alone(f"{lack}; {mount}{more}")
                    self.assertEqual((done.returncode, done.stdout), (1, ""))
                    self.assertIn(words, done.stderr)
                    self.assertIn("modprobe fuse", done.stderr)
        self.assertEqual(list(self.state.glob("near*")), [])


class OverOthers(PlacesTest):
    def test_a_directory_that_is_not_empty(self):
        (self.at / "own").write_text("own\n")
        with open(self.at / "own", encoding="utf-8") as held:
            mounted = self.mount(self.url)
            self.assertEqual(sorted(os.listdir(self.at)), ["f", "sub"])
            self.assertEqual(held.read(), "own\n")
            self.check(self.run_forebay("umount", self.at), 0)
        self.assertEqual(os.listdir(self.at), ["own"])
        self.assertEqual(mounted.wait(timeout=20), 0)

    def test_another_mount(self):
        subprocess.run(["mount", "-t", "tmpfs", "none", self.at], check=True)
        self.addCleanup(self.take_off, self.at)
        (self.at / "own").write_text("own\n")
        mounted = self.mount(self.url)
        self.assertEqual((self.at / "f").read_text(), "hello\n")
        # Ours goes, once; the other one is not ours to take.
        self.check(self.run_forebay("umount", self.at), 0)
        self.assertEqual(mounted.wait(timeout=20), 0)
        self.assertEqual(os.listdir(self.at), ["own"])
        self.check(self.run_forebay("umount", self.at), 2, "umount(8)")

    def test_what_lies_above_is_not_taken(self):
        mounted = self.mount(self.url)
        subprocess.run(["mount", "-t", "tmpfs", "none", self.at], check=True)
        self.addCleanup(self.take_off, self.at)
        self.check(self.run_forebay("umount", self.at), 2, "umount(8)")
        self.take_off(self.at)
        self.assertEqual((self.at / "f").read_text(), "hello\n")
        mounted.terminate()
        self.assertEqual(mounted.wait(timeout=20), 0)

    def test_one_that_is_worked_in(self):
        mounted = self.mount(self.url)
        with subprocess.Popen(["sleep", "100"], cwd=self.at / "sub") as worker:
            busy = self.run_forebay("umount", self.at)
            self.check(busy, 1, f"fuser -vm {self.at}", "--lazy")
            # What it says to do shows who.
            shown = subprocess.run(["fuser", "-m", self.at], capture_output=True, text=True,
                                   check=True).stdout
            self.assertIn(str(worker.pid), shown.split())
            worker.kill()
        self.check(self.run_forebay("umount", self.at), 0)
        self.assertEqual(mounted.wait(timeout=20), 0)


class Namespaces(PlacesTest):
    def test_one_of_a_private_namespace_is_seen_there_alone(self):
        inside, said = self.start_alone(
            '"$FOREBAY" mount "$SOURCE" "$AT" -q --state-dir "$STATE"; cat "$AT/f"; read end;'
            '"$FOREBAY" umount "$AT"', "--propagation", "private")
        self.assertEqual(said, "hello\n")
        self.assertFalse(self.is_mounted(self.at))
        self.assertEqual(os.listdir(self.at), [])
        self.check(self.run_forebay("umount", self.at), 1, "nothing is mounted")
        # Another one here, on the same directory and with the same state.
        mounted = self.mount(self.url)
        self.assertEqual((self.at / "f").read_bytes(), b"hello\n")
        self.check(self.run_forebay("umount", self.at), 0)
        self.assertEqual(mounted.wait(timeout=20), 0)
        seen = subprocess.run(["nsenter", "-m", "-t", str(inside.pid), "cat", self.at / "f"],
                              capture_output=True, check=True)
        self.assertEqual(seen.stdout, b"hello\n")
        inside.communicate("end\n", timeout=20)
        self.assertEqual(inside.returncode, 0)

    def test_its_daemon_ends_with_a_namespace_that_unmounts(self):
        """Nobody but the namespace's own processes held it: its mount goes with the last."""
        done = self.alone('"$FOREBAY" mount "$SOURCE" "$AT" --state-dir "$STATE"; umount "$AT"')
        self.assertEqual(done.returncode, 0, done.stderr)

        def serving():
            return subprocess.run(["pgrep", "-f", f"mount.*{self.at}"], capture_output=True,
                                  check=False).stdout
        harness.wait_until(lambda: not serving(), "no process left")

    def test_a_shared_mount_is_seen_in_namespaces_that_are_there(self):
        shared = self.dir / "shared"
        (shared / "m").mkdir(parents=True)
        subprocess.run(["mount", "--bind", shared, shared], check=True)
        self.addCleanup(self.take_off, shared)
        subprocess.run(["mount", "--make-shared", shared], check=True)
        self.names["AT"] = str(shared / "m")
        inside, said = self.start_alone(
            'echo ready; read go; cat "$AT/f"; [ -r "$AT/sub/g" ]; read go; ls "$AT"; echo end',
            "--propagation", "slave")
        self.assertEqual(said, "ready\n")
        mounted = self.mount(self.url, at=shared / "m")
        inside.stdin.write("go\n")
        inside.stdin.flush()
        self.assertEqual(inside.stdout.readline(), "hello\n")
        self.check(self.run_forebay("umount", shared / "m"), 0)
        self.assertEqual(mounted.wait(timeout=20), 0)
        self.assertEqual(inside.communicate("go\n", timeout=20)[0], "end\n")


if __name__ == "__main__":
    unittest.main()
