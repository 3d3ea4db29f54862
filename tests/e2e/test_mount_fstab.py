"""mount(8), fstab(5) and umount(8): the helper mount.forebay, run by those that run it."""

import os
import pathlib
import subprocess
import unittest

import harness
import mount_case

# Seen in a mount namespace of its own alone: the helper where mount(8) looks for it.
SETUP = """
mount -t tmpfs none /usr/sbin
ln -s "$FOREBAY" /usr/sbin/mount.forebay
ln -s "$FOREBAY" /usr/sbin/mount.fuse.forebay
shown() { grep -c " $AT .* fuse.forebay $SOURCE " /proc/self/mountinfo || true; }
line() { echo "$SOURCE $AT forebay $1 0 0" > "$DIR/fstab"; }
"""


# An automount as systemd makes it (with systemd in the place of this script): who uses the
# directory waits, and only this process group may go in and mount something.
AUTOMOUNT = """
import ctypes, fcntl, os, struct, subprocess, sys
binary, state, source, at = sys.argv[1:]
READY, FAIL = 0x9360, 0x9361
requests, tell = os.pipe()
options = f"fd={tell},pgrp={os.getpgrp()},minproto=5,maxproto=5,direct"
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b"systemd-1", at.encode(), b"autofs", 0, options.encode()) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
control = os.open(at, os.O_RDONLY | os.O_DIRECTORY)
reader = subprocess.Popen(["cat", f"{at}/f"], stdout=subprocess.PIPE, start_new_session=True)
token = struct.unpack_from("iiI", os.read(requests, 4096))[2]
helper = subprocess.Popen([binary, "mount", "-q", "--state-dir", state, source, at])
try:
    helper.wait(timeout=10)
finally:
    fcntl.ioctl(control, READY if helper.returncode == 0 else FAIL, token)
print(reader.communicate(timeout=10)[0].decode(), end="")
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        words = open(f"/proc/{pid}/cmdline").read().split("\\0")
        if at in words and "--foreground" in words:
            print("in our session" if os.getsid(int(pid)) == os.getsid(0) else "in its own")
    except OSError:
        pass
os.close(control)
subprocess.run(["umount", at], check=True)
subprocess.run(["umount", "-l", at], check=True)
"""


class Fstab(mount_case.MountTest):
    def setUp(self):
        super().setUp()
        if os.path.realpath("/sbin") != "/usr/sbin":
            self.skipTest("needs /sbin to be /usr/sbin")
        tree = self.make_tree({"f": b"hello\n", "a b": b"1"})
        tree.chmod(0o755)
        self.source = f"file://{tree}"

    def script(self, text):
        """(exit code, stdout, stderr) of a shell script."""
        env = harness.clean_environment(self.dir, {
            "FOREBAY": harness.BINARY, "AT": str(self.at), "SOURCE": self.source,
            "DIR": str(self.dir), "STATE": str(self.state)})
        done = subprocess.run(["unshare", "-m", "--propagation", "private", "sh", "-ec",
                               SETUP + text], capture_output=True, text=True, timeout=60, cwd="/",
                              env=env)
        return done.returncode, done.stdout.split(), done.stderr

    def test_mount_by_type_and_umount(self):
        self.assertEqual(self.script("""
            mount -t forebay "$SOURCE" "$AT" -o "state-dir=$STATE,file-mode=0400"
            shown; cat "$AT/f"; stat -c %a "$AT/f"
            umount "$AT"; shown
            mount -t fuse.forebay "$SOURCE" "$AT" -o "ro,state_dir=$STATE"
            stat -c %a "$AT/f"
            umount "$AT"; ls -A "$AT"
            """), (0, ["1", "hello", "400", "0", "644"], ""))

    def test_a_line_of_fstab(self):
        self.assertEqual(self.script("""
            own="state-dir=$STATE,read-timeout=10s"
            line "ro,allow_other,_netdev,noauto,nofail,x-systemd.automount,user,exec,nodev,$own"
            mount -a -T "$DIR/fstab"; shown
            mount -T "$DIR/fstab" "$AT"; shown; cat "$AT/f"
            grep -c " $AT ro,nosuid,nodev,relatime " /proc/self/mountinfo
            umount "$AT"
            line "defaults,noexec,$own"
            mount -a -T "$DIR/fstab"; mount -a -T "$DIR/fstab"; shown
            grep -c " $AT ro,nosuid,nodev,noexec,relatime " /proc/self/mountinfo
            umount "$AT"; shown
            """), (0, ["0", "1", "hello", "1", "1", "1", "0"], ""))

    def test_what_root_s_mounts_have_from_a_file(self):
        keys = self.dir / "keys"
        keys.write_text(f"# of the services\nFOREBAY_STATE_DIR='{self.state}'\n")
        self.assertEqual(self.script("""
            mount -t forebay "$SOURCE" "$AT" -o "environment-file=$DIR/keys,near-memory=0"
            cat "$AT/f"; umount "$AT"; ls "$STATE"
            """), (0, ["hello", "mounts"], ""))

    def test_mount_says_what_is_wrong(self):
        for options, code, message in (
                ("bogus", 1, '-o "bogus": no such option'), ("region", 1, "region=NAME"),
                ("read-timeout=x", 1, "read-timeout"), ("environment-file=/none", 1, "/none"),
                ("members=/none", 1, "/none")):
            done = self.script(f'mount -t forebay "$SOURCE" "$AT" -o "state-dir=$STATE,{options}"')
            self.assertEqual((done[0], done[1]), (code, []), done)
            self.assertIn(message, done[2])
        done = self.script('mount -t forebay "$SOURCE/none" "$AT" -o "state-dir=$STATE"')
        self.assertEqual(done[0], 32, done)
        self.assertIn("No such file", done[2])

    def test_an_automount_is_mounted_when_it_is_used(self):
        if "autofs" not in pathlib.Path("/proc/filesystems").read_text():
            self.skipTest("needs autofs")
        done = subprocess.run(["unshare", "-m", "--propagation", "private", "python3", "-c",
                               AUTOMOUNT, harness.BINARY, str(self.state), self.source,
                               str(self.at)], capture_output=True, text=True, timeout=60,
                              start_new_session=True)
        self.assertEqual((done.returncode, done.stdout), (0, "hello\n" + "in its own\n" * 4),
                         done.stderr)

    def test_fake_and_sloppy(self):
        self.assertEqual(self.script("""
            mount -f -t forebay "$SOURCE" "$AT"; shown
            mount -s -t forebay "$SOURCE" "$AT" -o "bogus,state-dir=$STATE"; shown
            umount "$AT"
            """), (0, ["0", "1"], ""))
        self.assertEqual(self.script('mount -f -t forebay "$SOURCE" "$AT" -o bogus')[0], 1)


if __name__ == "__main__":
    unittest.main()
