"""A mount of a group's dataset: what it tells, and how soon it follows."""

import os
import subprocess
import unittest

import group_case
import mount_case


class OfAGroup(group_case.GroupTest, mount_case.MountTest):
    def setUp(self):
        super().setUp()
        self.up(1)

    def test_df_shows_what_control_counted(self):
        root = self.make_tree({"a": b"x" * 5_000, "d/b": b"y" * 4_000_000})
        self.create("d", root)
        self.await_status(lambda s: s["datasets"] and s["datasets"][0]["totalBytes"], "a listing")
        self.mount("d")
        seen = os.statvfs(self.at)
        self.assertEqual(((seen.f_blocks - seen.f_bfree), seen.f_frsize), (978, 4096))
        self.assertEqual((seen.f_files - seen.f_ffree, seen.f_namemax), (2, 255))
        self.assertEqual(seen.f_blocks * seen.f_frsize, 1 << 50)
        self.assertEqual(seen.f_bavail, seen.f_bfree)
        shown = subprocess.run(["df", "--output=fstype,size,used,pcent", self.at], check=True,
                               capture_output=True, text=True).stdout
        self.assertEqual(shown.split()[-4:], ["fuse.forebay", str(1 << 40), str(978 * 4), "1%"])
        self.kill_control()
        self.assertEqual(os.statvfs(self.at).f_bfree, seen.f_bfree)


class OfAStore(mount_case.MountTest):
    def test_df_shows_it(self):
        self.mount(f"file://{self.make_tree({'a': b'1'})}")
        seen = os.statvfs(self.at)
        self.assertEqual((seen.f_blocks, seen.f_bfree), ((1 << 50) // 4096,) * 2)
        self.assertEqual(seen.f_files, seen.f_ffree)


if __name__ == "__main__":
    unittest.main()
