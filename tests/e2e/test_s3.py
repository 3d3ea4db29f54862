"""Client verbs over a real S3 server, straight and through a pool."""

import json
import random
import unittest

import harness

RANDOM = random.Random(11)
BIG = RANDOM.randbytes((5 << 20) + 17)
TREE = {"p/big.bin": BIG, "p/small.txt": b"hello\n", "p/empty": b"", "p/q/with space": b"x",
        "p/q/new\nline": b"y", "p/q/\u00fcn\u00ef": b"z"}


class S3(harness.ForebayTest):
    def setUp(self):
        super().setUp()
        self.server = harness.S3Server(self)
        self.root = self.make_tree(TREE)
        self.server.put_tree(self.root)

    def forebay(self, *arguments, env=None):
        return self.run_forebay(*arguments, env=self.server.environment if env is None else env)

    def with_and_without_a_pool(self):
        yield ()
        members, _ = self.start_pool(2, env=self.server.environment,
                                     options={"endpoint": self.server.url, "region": "us-east-1"})
        yield ("--members", str(members))

    def test_every_verb(self):
        for flags in self.with_and_without_a_pool():
            with self.subTest(flags=flags):
                outcome = self.forebay("cat", "s3://bucket/p/big.bin", "s3://bucket/none",
                                       "s3://bucket/p/q/new\nline", *flags)
                self.check(outcome, 1, "s3://bucket/none")
                self.assertEqual(outcome.out, BIG + b"y")
                outcome = self.forebay("ls", "-o", "json", "-R", "s3://bucket/p", *flags)
                files = [e for e in json.loads(outcome.out) if e["type"] == "file"]
                self.assertEqual({e["name"] for e in files}, {n.removeprefix("p/") for n in TREE})
                self.assertTrue(all(e["version"].startswith('"') for e in files))
                outcome = self.forebay("stat", "-o", "json", "s3://bucket/p/big.bin", *flags)
                stat = json.loads(outcome.out)
                self.assertEqual(stat[0]["size"], len(BIG))
                target = self.dir / f"copy{len(flags)}"
                self.check(self.forebay("cp", "-r", "s3://bucket/p", target, *flags), 0)
                for name, content in TREE.items():
                    self.assertEqual((target / name.removeprefix("p/")).read_bytes(), content)
                outcome = self.forebay("bench", "read", "s3://bucket/", "--tasks=4", "-o", "json",
                                       *flags)
                self.check(outcome, 0)
                self.assertEqual(json.loads(outcome.out)["bytes"], 4 * sum(map(len, TREE.values())))
                if flags:
                    self.check(self.forebay("verify", "s3://bucket", *flags), 0, "6 files")
                    self.check(self.forebay("bench", "fill", "s3://bucket", *flags), 0)

    def test_store_flags(self):
        env = {"AWS_ACCESS_KEY_ID": self.server.KEY, "AWS_SECRET_ACCESS_KEY": self.server.SECRET}
        outcome = self.forebay("cat", "s3://bucket/p/small.txt", "--endpoint-url", self.server.url,
                               "--region=us-east-1", "--force-path-style", env=env)
        self.check(outcome, 0)
        self.assertEqual(outcome.out, b"hello\n")
        outcome = self.forebay("cat", "s3://bucket/p/small.txt", "--option",
                               f"endpoint={self.server.url}", "--option", "path-style=true",
                               env=env)
        self.check(outcome, 0)
        (self.dir / ".aws").mkdir()
        (self.dir / ".aws/credentials").write_text(
            f"[other]\naws_access_key_id = {self.server.KEY}\n"
            f"aws_secret_access_key = {self.server.SECRET}\n")
        outcome = self.forebay("cat", "s3://bucket/p/small.txt", "--endpoint-url", self.server.url,
                               "--profile", "other", env={})
        self.check(outcome, 0)

    def test_what_a_store_refuses_is_said(self):
        wrong = dict(self.server.environment, AWS_SECRET_ACCESS_KEY="wrong")
        url = "s3://bucket/p/small.txt"
        self.check(self.forebay("cat", url, env=wrong), 1, url)
        self.check(self.forebay("cat", "s3://bucket/p/small.txt", "--no-sign-request"), 1)
        self.check(self.forebay("ls", "s3://no-such-bucket"), 1, "no-such-bucket")


if __name__ == "__main__":
    unittest.main()
