"""100,000 keys under one prefix."""

import os
import pathlib
import time
import unittest

from pool_case import PoolTest

MANY = 100_000


class ManyKeys(PoolTest):
    def test_a_hundred_thousand_keys_under_one_prefix(self):
        self.start_store()
        folder = pathlib.Path(self.dir, "s3", "bucket", "many")
        folder.mkdir()
        expected = [f"k-{i:06}" for i in range(MANY)]
        for name in expected:
            os.close(os.open(folder / name, os.O_CREAT | os.O_WRONLY, 0o644))
        members, _ = self.s3_pool(1)
        began = time.monotonic()
        outcome = self.run_forebay("ls", "-o", "name", "s3://bucket/many/", "--members", members,
                                   env=self.environment, timeout=240)
        print(f"{MANY} keys in {time.monotonic() - began:.1f} s, "
              f"{self.proxy.count('LIST')} requests")
        self.check(outcome, 0)
        self.assertEqual(outcome.out.decode().splitlines(), expected)


if __name__ == "__main__":
    unittest.main()
