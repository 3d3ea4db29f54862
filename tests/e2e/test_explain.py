"""`forebay explain`: nothing runs, nothing changes, and the exit code says whether it is valid."""

import json
import unittest

import harness

ARTICLE = harness.ROOT / "tests/compat/article-dataset-runtime.yaml"
KEYS = ["document", "path", "value", "meaning", "level", "remedy"]


class Explain(harness.ForebayTest):
    def test_the_article_as_json(self):
        outcome = self.run_forebay("explain", "-f", str(ARTICLE), "-o", "json")
        self.check(outcome, 0)
        rows = json.loads(outcome.out)
        for row in rows:
            self.assertEqual(list(row), KEYS)
            self.assertIn(row["level"], ("ok", "warning", "unsupported"))
        found = {row["path"]: row for row in rows}
        quota = found["spec.tieredstore.levels[0].quota"]
        self.assertEqual((quota["value"], quota["level"]), ("40960", "warning"))
        self.assertIn("40 GiB", quota["meaning"])
        url = found["spec.mounts[0].mountPoint"]
        self.assertEqual(url["level"], "unsupported")
        self.assertIn("JuiceFSCloudVolume", url["meaning"])
        self.assertIn("file:///", url["remedy"])
        self.assertIn("s3://", url["remedy"])
        self.assertEqual(found["spec.nodeAffinity.required"]["level"], "unsupported")

    def test_the_article_as_a_table(self):
        outcome = self.run_forebay("explain", f"--file={ARTICLE}")
        self.check(outcome, 0, "valid; documents: 2")
        text = outcome.out.decode()
        self.assertIn("document 1 (Dataset metabit-juice-research)", text)
        self.assertIn("warning      spec.tieredstore.levels[0].quota: 40960\n", text)
        for line in text.splitlines():
            if " " in line.strip() and not line.startswith(str(harness.ROOT)):
                self.assertLessEqual(len(line), 100, line)
        quiet = self.run_forebay("explain", "-q", "-f", str(ARTICLE))
        self.assertEqual((quiet.code, quiet.err), (0, ""))

    def test_standard_input(self):
        outcome = self.run_forebay("explain", "-f", "-", "-o", "json", stdin=ARTICLE.read_bytes())
        self.check(outcome, 0)
        self.assertTrue(json.loads(outcome.out)[0]["document"].startswith("standard input: "))

    def test_invalid_is_exit_2_and_one_line(self):
        bad = self.dir / "bad.yaml"
        bad.write_text("apiVersion: data.fluid.io/v1alpha1\nkind: Dataset\n"
                       "metadata: {name: prices}\nspec: {mounts: [{mountPoint: 's3:/b'}]}\n")
        missing = self.dir / "none.yaml"
        cases = [
            ([], ["explain: --file is missing", "-f FILE"]),
            (["-f", str(missing)], [f'explain: --file "{missing}": No such file']),
            (["-f", str(self.dir)], ["Is a directory"]),
            (["-f", str(bad)], [f'explain: {bad}: document 1 (Dataset prices): '
                                'spec.mounts[0].mountPoint "s3:/b": not a URL; write '
                                's3://BUCKET/PREFIX']),
            (["-f", str(ARTICLE), "-o", "yaml"], ['explain: --output "yaml"', "json"]),
            (["-f", str(ARTICLE), "stray"], ['"stray"']),
            (["-f", str(ARTICLE.parent / "article-cronhpa.yaml")],
             ['kind "CronHorizontalPodAutoscaler": not accepted by this version']),
        ]
        for arguments, texts in cases:
            with self.subTest(arguments=arguments):
                outcome = self.run_forebay("explain", *arguments)
                self.check(outcome, 2, *texts)
                self.assertEqual(outcome.out, b"")
                self.assertEqual(outcome.err.count("\n"), 1, outcome.err)


if __name__ == "__main__":
    unittest.main()
