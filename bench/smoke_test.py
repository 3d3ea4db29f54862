"""Runs the benches' small doses, so that they do not rot. Needs root; figures do not matter here.

    smoke_test.py FOREBAY BUILD_FOLDER
"""

import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
# Those that need nothing but the build; mounts take what the kernel has, besides.
BENCHES = ("loopback", "idle", *(["mount"] if os.path.exists("/dev/fuse") else []))


def main():
    forebay, build = sys.argv[1:]
    with tempfile.NamedTemporaryFile(suffix=".json") as figures:
        subprocess.run([sys.executable, "-B", os.path.join(HERE, "run"), *BENCHES, "--quick",
                        "--no-build", "--forebay", forebay, "--build", build, "--versitygw",
                        "none", "--json", figures.name], check=True)
        benches = json.load(figures)["benches"]
    for name in BENCHES:
        rows = benches[name]
        assert rows, f"{name} gave no figures"
        for row in rows:
            assert row["value"] >= 0, f"{name}: {row}"
    assert benches["loopback"][0]["value"] > 0, "nothing was read"
    return 0


if __name__ == "__main__":
    sys.exit(main())
