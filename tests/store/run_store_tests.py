#!/usr/bin/env python3
"""Runs the store tests in the virtual environment that tools/setup/moto made (moto, boto3).

Needs FOREBAY_VERSITYGW (default build/tools/versitygw), and --probe, the built upstream_probe.
Further arguments go to unittest.
"""

import argparse
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
MOTO = os.environ.get("FOREBAY_MOTO", str(ROOT / "build/tools/moto/bin/moto_server"))
PYTHON = pathlib.Path(MOTO).parent / "python"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--probe", required=True)
    arguments, rest = parser.parse_known_args()
    gateway = os.environ.get("FOREBAY_VERSITYGW", str(ROOT / "build" / "tools" / "versitygw"))
    if not os.access(gateway, os.X_OK):
        sys.exit(f"no versitygw at {gateway}; set FOREBAY_VERSITYGW to the binary")
    if not os.access(PYTHON, os.X_OK):
        sys.exit(f"no moto at {PYTHON}; tools/setup/moto installs it")
    environment = dict(os.environ, UPSTREAM_PROBE=os.path.abspath(arguments.probe),
                       FOREBAY_VERSITYGW=gateway)
    command = [PYTHON, "-m", "unittest", *(rest or ["discover", "-p", "*_test.py"])]
    sys.exit(subprocess.run(command, cwd=pathlib.Path(__file__).parent, env=environment).returncode)


if __name__ == "__main__":
    main()
