"""Stat, List and Read against both servers, without faults."""

import os
import shutil
import subprocess
import tempfile
import time
import unittest

from fault_proxy import FaultProxy
from store_servers import (BUCKET, Moto, Versitygw, names, probe, raw, read, running)


class Common:
    """What every S3 server has to give."""

    def check_key(self, key, body):
        etag = self.server.put(key, body)
        stat = probe(self.server.url, key, "stat")
        self.assertEqual((stat.get("type"), stat.get("size"), stat.get("version")),
                         ("file", len(body), etag), stat)
        got = read(self.server.url, key, body, etag, offset=1)
        self.assertTrue(got["ok"], got)
        self.assertEqual(got["bytes"], body[1:])
        self.assertTrue(got["cacheable"])

    def test_keys_are_taken_literally(self):
        for key in ["shapes/plain", "shapes/a b+c&d=e?f#g%41", "shapes/ünï/cödé", "shapes/'\"<>;~",
                    "shapes/" + "n" * 255, "shapes/..dots..", "shapes/-"]:
            with self.subTest(key=key):
                self.check_key(key, b"body of " + key.encode())
        listed = probe(self.server.url, "shapes/", "list")
        self.assertEqual(names(listed), sorted(
            [raw(n) for n in ["plain", "a b+c&d=e?f#g%41", "ünï/", "'\"<>;~", "n" * 255, "..dots..",
                              "-"]], key=lambda n: n.rstrip("/")))

    def test_an_empty_object(self):
        etag = self.server.put("empty", b"")
        stat = probe(self.server.url, "empty", "stat")
        self.assertEqual((stat["size"], stat["version"]), (0, etag))

    def test_stat_and_list_agree(self):
        self.server.put("agree/x", b"12345")
        stat = probe(self.server.url, "agree/x", "stat")
        entry = probe(self.server.url, "agree/", "list")["pages"][0]["entries"][0]
        for field in ("type", "size", "mtime_ns", "version"):
            self.assertEqual(stat[field], entry[field])

    def test_directories(self):
        self.server.put("dirs/deep/er/x", b"1")
        for key in ("", "dirs", "dirs/", "dirs/deep", "dirs/deep/er/"):
            stat = probe(self.server.url, key, "stat")
            self.assertEqual(stat.get("type"), "dir", (key, stat))
        self.server.put("marked/", b"")
        self.assertEqual(probe(self.server.url, "marked/", "stat")["type"], "dir")
        self.assertEqual(names(probe(self.server.url, "marked/", "list")), [])
        for key in ("nope", "nope/", "dirs/dee", "dirs/deep/er/x/"):
            self.assertEqual(probe(self.server.url, key, "stat").get("code"), "NotFound", key)
        self.assertEqual(probe(self.server.url, "nope/", "list")["code"], "NotFound")
        self.assertEqual(probe(self.server.url, "dirs", "list")["code"], "InvalidArgument")

    def test_pages_with_a_directory_across_their_border(self):
        # "s/" sorts behind 950 keys "s-..." and before them as a name.
        expected = ["s/"] + [f"s-{i:04}" for i in range(950)] + ["t"]
        for name in expected:
            self.server.put("pages/" + (name + "x" if name.endswith("/") else name), b"1")
        listed = probe(self.server.url, "pages/", "list")
        self.assertEqual(len(listed["pages"]), 2)
        self.assertEqual(names(listed), expected)

    def test_a_replaced_object_is_changed(self):
        old = self.server.put("replaced", b"old bytes")
        new = self.server.put("replaced", b"new bytes")
        self.assertNotEqual(old, new)
        got = read(self.server.url, "replaced", b"old bytes", old)
        self.assertEqual((got.get("code"), got["delivered"]), ("Changed", 0), got)
        got = read(self.server.url, "replaced", b"new bytes", new)
        self.assertEqual(got["bytes"], b"new bytes")

    def test_another_size_is_changed(self):
        etag = self.server.put("resized", b"0123456789")
        got = probe(self.server.url, "resized", "read", version=etag, size=11, offset=0, length=5)
        self.assertEqual((got.get("code"), got["delivered"]), ("Changed", 0), got)

    def test_a_missing_object_and_bucket(self):
        got = read(self.server.url, "missing", b"x", '"e"')
        self.assertEqual(got["code"], "NotFound", got)
        for command in ("stat", "list"):
            got = probe(self.server.url, "", command, url="s3://no-such-bucket/")
            self.assertEqual(got["code"], "NotFound")
            self.assertIn('there is no bucket "no-such-bucket"', got["message"])

    def test_ranges(self):
        body = bytes(range(256)) * 4096
        etag = self.server.put("ranges", body)
        for offset, length in ((0, 1), (0, len(body)), (len(body) - 1, 1), (12345, 65536)):
            got = read(self.server.url, "ranges", body, etag, offset=offset, length=length)
            self.assertTrue(got["ok"], got)
            self.assertEqual(got["bytes"], body[offset:offset + length])

    def test_connections_are_kept_and_bounded(self):
        etag = self.server.put("kept", b"0123456789")
        with FaultProxy("127.0.0.1", self.server.port) as proxy:
            got = read(proxy.url, "kept", b"0123456789", etag, repeat=20)
            self.assertEqual(got["codes"], ["OK"] * 20)
            self.assertEqual(proxy.connections, 1)
            got = read(proxy.url, "kept", b"0123456789", etag, threads=8, repeat=5,
                       options={"max-connections": 3})
            self.assertEqual(got["codes"], ["OK"] * 40)
            self.assertLessEqual(proxy.connections, 1 + 3)


class VersitygwTest(Common, unittest.TestCase):
    server = property(lambda self: running(Versitygw))

    def test_a_newline_in_a_key(self):
        self.check_key("lines/a\nb", b"newline")
        self.assertEqual(names(probe(self.server.url, "lines/", "list")), ["a\nb"])

    def lay(self, name, body, age):
        path = os.path.join(self.server.folder, BUCKET, name)
        with open(path, "wb") as file:
            file.write(body)
        then = int(time.time()) - age
        os.utime(path, (then, then))
        return then

    def test_a_file_without_etag_goes_by_time_and_size(self):
        then = self.lay("laid", b"0123456789", age=100)
        stat = probe(self.server.url, "laid", "stat")
        self.assertEqual(stat["version"], f"m:{then}:10")
        got = read(self.server.url, "laid", b"0123456789", stat["version"])
        self.assertTrue(got["ok"] and got["cacheable"], got)
        self.assertEqual(got["bytes"], b"0123456789")
        self.lay("laid", b"abcdefghij", age=50)
        got = read(self.server.url, "laid", b"0123456789", stat["version"])
        self.assertEqual((got.get("code"), got["delivered"]), ("Changed", 0), got)
        young = self.lay("laid", b"abcdefghij", age=0)
        got = read(self.server.url, "laid", b"abcdefghij", f"m:{young}:10")
        self.assertTrue(got["ok"], got)
        self.assertFalse(got["cacheable"])

    def test_20_000_keys_in_order(self):
        folder = os.path.join(self.server.folder, BUCKET, "many")
        os.mkdir(folder)
        self.addCleanup(shutil.rmtree, folder)
        expected = [f"k-{i:06}" for i in range(20_000)]
        for name in expected:
            os.close(os.open(os.path.join(folder, name), os.O_CREAT | os.O_WRONLY))
        self.assertEqual(names(probe(self.server.url, "many/", "list")), expected)

    def test_wrong_credentials_in_plain_words(self):
        self.server.put("secret", b"x")
        cases = [({"AWS_SECRET_ACCESS_KEY": "wrong"}, "Denied", "check AWS_SECRET_ACCESS_KEY"),
                 ({"AWS_ACCESS_KEY_ID": "nobody"}, "Denied",
                  'does not know access key ID "nobody"'),
                 ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "Denied",
                  "set AWS_ACCESS_KEY_ID"),
                 ({"AWS_REGION": "eu-west-9"}, "InvalidArgument", "set region (AWS_REGION)")]
        for environment, code, words in cases:
            for command in ("stat", "list"):
                got = probe(self.server.url, "secret" if command == "stat" else "", command,
                            environment=environment)
                self.assertEqual(got["code"], code, got)
                self.assertIn(words, got["message"])
        got = probe(self.server.url, "secret", "stat", options={"anonymous": "true"})
        self.assertEqual(got["code"], "Denied", got)

    def test_virtual_host_style(self):
        etag = self.server.put("virtual host", b"0123456789")
        got = read(f"http://s3.localhost:{self.server.port}", "virtual host", b"0123456789", etag)
        self.assertTrue(got["ok"], got)
        self.assertEqual(got["bytes"], b"0123456789")

    def test_tls_needs_a_trusted_authority(self):
        etag = self.server.put("tls", b"0123456789")
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = folder + "/cert.pem", folder + "/key.pem"
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days",
                            "2", "-keyout", key, "-out", certificate, "-subj", "/CN=127.0.0.1",
                            "-addext", "subjectAltName=IP:127.0.0.1"], check=True,
                           stderr=subprocess.DEVNULL)
            with FaultProxy("127.0.0.1", self.server.port,
                            certificate=(certificate, key)) as proxy:
                got = read(proxy.url, "tls", b"0123456789", etag)
                self.assertEqual(got.get("code"), "Denied", got)
                self.assertIn("AWS_CA_BUNDLE", got["message"])
                got = read(proxy.url, "tls", b"0123456789", etag,
                           environment={"AWS_CA_BUNDLE": certificate})
                self.assertEqual(got["bytes"], b"0123456789", got)
                got = read(proxy.url, "tls", b"0123456789", etag,
                           environment={"AWS_CA_BUNDLE": folder + "/none.pem"})
                self.assertEqual(got.get("code"), "InvalidArgument", got)


class MotoTest(Common, unittest.TestCase):
    server = property(lambda self: running(Moto))

    def test_keys_that_no_file_system_holds(self):
        for key in ["odd/a//b", "odd/x/../y", "odd/./z", "odd/d/", "odd//", "odd/both",
                    "odd/both/x", "/lead", "odd/.", "odd/.."]:
            with self.subTest(key=key):
                self.check_key(key, b"body of " + key.encode())
        listed = probe(self.server.url, "odd/", "list")
        self.assertEqual(names(listed), ["a/", "both/", "d/", "x/"])
        self.assertEqual(listed["pages"][0]["left_out"], 4)  # "", ".", "./", ".."
        listed = probe(self.server.url, "odd/x/", "list")
        self.assertEqual((names(listed), listed["pages"][0]["left_out"]), ([], 1))
        listed = probe(self.server.url, "odd/d/", "list")  # Its bytes cannot be shown.
        self.assertEqual((names(listed), listed["pages"][0]["left_out"]), ([], 1))

    def test_a_key_that_is_file_and_directory_across_pages(self):
        keys = ["f"] + [f"f-{i:04}" for i in range(950)] + ["f/x"]
        for key in keys:
            self.server.put("twice/" + key, b"1")
        listed = probe(self.server.url, "twice/", "list")
        self.assertEqual(names(listed), ["f/"] + keys[1:-1])


if __name__ == "__main__":
    unittest.main()
