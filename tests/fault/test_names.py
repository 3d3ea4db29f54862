"""Odd names: a key is taken literally, a tree leaves out what it cannot show, refusals say why."""

import http.client
import json
import os
import subprocess
import unittest
import urllib.parse

from pool_case import TESTS, Fault, PoolTest, harness

MOTO = os.environ.get("FOREBAY_MOTO", str(TESTS.parent / "build/tools/moto/bin/moto_server"))
XML_ERROR = "<Error><Code>{}</Code><Message>by the fault proxy</Message></Error>"


class Moto:
    """A moto server with one bucket: it holds keys that no file system can."""

    def __init__(self, test):
        if not os.access(MOTO, os.X_OK):
            test.fail(f"no moto at {MOTO}; tools/setup/moto installs it")
        self.port = harness.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        process = subprocess.Popen([MOTO, "-H", "127.0.0.1", "-p", str(self.port)],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def end():
            process.kill()
            process.wait()
        test.addCleanup(end)
        harness.wait_until(self.answers, "moto", 60)
        self.put("", b"")

    def answers(self):
        try:
            harness.http_get(f"127.0.0.1:{self.port}", "/moto-api/")
            return True
        except OSError:
            return False

    def put(self, key, content):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            # Path style, and moto does not ask who we are.
            connection.request("PUT", "/bucket/" + urllib.parse.quote(key), body=content)
            status = connection.getresponse().status
        finally:
            connection.close()
        assert status == 200, (key, status)


class OddKeys(PoolTest):
    def start_moto(self, keys):
        self.server = Moto(self)
        self.contents = {key: b"content of " + key.encode() for key in keys}
        self.contents["t/empty"] = b""
        for key, content in self.contents.items():
            self.server.put(key, content)
        self.environment = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s",
                            "AWS_ENDPOINT_URL": self.server.url}
        self.members, _ = self.start_pool(
            2, env=self.environment, options={"endpoint": self.server.url,
                                              "region": "us-east-1"})

    def forebay(self, *arguments):
        return self.run_forebay(*arguments, "--members", self.members, env=self.environment)

    def test_keys_are_taken_literally_and_a_tree_shows_what_it_can(self):
        shown = ["t/plain", "t/with space", "t/\u00fcn\u00efc\u00f6de/\u65e5",
                 "t/" + "n" * 255, "t/percent%41", "t/..dots..", "t/q?a=b#c&d+e", "t/both/x"]
        hidden = ["t/..", "t/../up", "t/./here", "t/a//b", "t//", "t/dir/", "t/both"]
        self.start_moto(shown + hidden)
        for key, content in self.contents.items():
            with self.subTest(key=key):
                outcome = self.forebay("cat", f"s3://bucket/{key}")
                self.check(outcome, 0)
                self.assertEqual(outcome.out, content)
        outcome = self.forebay("ls", "-R", "-o", "json", "s3://bucket/t/")
        self.check(outcome, 0)
        listed = {entry["name"]: entry["type"] for entry in json.loads(outcome.out)}
        files = {name for name, kind in listed.items() if kind == "file"}
        self.assertEqual(files, {key[2:] for key in shown} | {"empty"})
        self.assertEqual(listed["both"], "dir")
        self.assertEqual(outcome.err.count("warning"), 1, outcome.err)
        # "..", "../", "./", "a//" and "/"; "dir/" holds bytes that a tree cannot show.
        self.assertRegex(outcome.err, r"left out \d+ names")
        target = self.dir / "copy"
        outcome = self.forebay("cp", "-r", "s3://bucket/t/", target)
        self.check(outcome, 0)
        self.assertEqual(outcome.err.count("left out"), 1, outcome.err)
        copied = {os.path.relpath(os.path.join(where, name), target): None
                  for where, _, names in os.walk(target) for name in names}
        self.assertEqual(set(copied), files)
        for name in files:
            self.assertEqual((target / name).read_bytes(), self.contents["t/" + name])
        self.assertFalse((self.dir / "up").exists())


class Files(PoolTest):
    def test_names_in_a_mounted_directory(self):
        names = ["with space", "new\nline", "\u00fcn\u00efc\u00f6de", "n" * 255, "..dots", "-x",
                 "percent%41", "q?a#b"]
        contents = {name: b"content of " + name.encode() for name in names} | {"empty": b""}
        root = self.old_tree(contents)
        members, _ = self.start_pool(2)
        for name, content in contents.items():
            with self.subTest(name=name):
                self.check_bytes(self.cat(members, f"file://{root}/{name}"), content)
        self.check(self.run_forebay("cp", "-r", f"file://{root}/", self.dir / "copy",
                                    "--members", members), 0)
        self.assertEqual({p.name: p.read_bytes() for p in (self.dir / "copy").iterdir()}, contents)


class Refusals(PoolTest):
    def test_what_a_store_says_comes_in_plain_words(self):
        self.start_store()
        self.put("key", b"x")
        members, _ = self.s3_pool(1)
        cases = [(403, "InvalidAccessKeyId", "does not know access key ID"),
                 (403, "SignatureDoesNotMatch", "check AWS_SECRET_ACCESS_KEY"),
                 (400, "ExpiredToken", "has expired"),
                 (400, "AuthorizationHeaderMalformed", "set region"),
                 (301, "PermanentRedirect", "set region"),
                 (404, "NoSuchBucket", "there is no bucket"),
                 (403, "RequestTimeTooSkewed", "set the clock")]
        for status, code, words in cases:
            for through in ([], ["--members", members]):
                with self.subTest(code=code, through=through):
                    self.proxy.clear()
                    self.proxy.set(Fault("status", status=status, body=XML_ERROR.format(code)))
                    outcome = self.run_forebay("cat", f"s3://bucket/{code}", *through,
                                               "--read-timeout", "5s", env=self.environment)
                    self.check(outcome, 1, words, f"s3://bucket/{code}")
                    self.assertEqual(outcome.out, b"")

    def test_wrong_credentials_region_and_bucket_of_a_real_store(self):
        self.start_store()
        self.put("key", b"x")
        right = self.environment
        for name, change, url, words in (
                ("secret", {"AWS_SECRET_ACCESS_KEY": "wrong"}, "s3://bucket/key",
                 "check AWS_SECRET_ACCESS_KEY"),
                ("id", {"AWS_ACCESS_KEY_ID": "nobody"}, "s3://bucket/key", "does not know"),
                ("region", {"AWS_REGION": "eu-west-9"}, "s3://bucket/key", "set region"),
                ("bucket", {}, "s3://no-such-bucket/key", "there is no bucket"),
                ("key", {}, "s3://bucket/none", "no such object")):
            with self.subTest(wrong=name):
                outcome = self.run_forebay("cat", url, env=dict(right, **change))
                self.check(outcome, 1, words)
                self.assertEqual(outcome.out, b"")


if __name__ == "__main__":
    unittest.main()
