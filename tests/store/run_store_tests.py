#!/usr/bin/env python3
"""Runs the store tests in the virtual environment they need, which is made on the first run.

Needs FOREBAY_VERSITYGW (default build/tools/versitygw), the PyPI packages moto[server] and boto3
(into build/venv), and --probe, the built upstream_probe. Further arguments go to unittest.
"""

import argparse
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
VENV = ROOT / "build" / "venv"
PACKAGES = ["moto[server]==5.2.1", "boto3==1.43.11"]


def python_with_packages():
    python = VENV / "bin" / "python"
    done = VENV / "store-tests-ready"
    if not done.exists():
        print(f"setting up {VENV} with {', '.join(PACKAGES)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        done.touch()
    return python


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--probe", required=True)
    arguments, rest = parser.parse_known_args()
    gateway = os.environ.get("FOREBAY_VERSITYGW", str(ROOT / "build" / "tools" / "versitygw"))
    if not os.access(gateway, os.X_OK):
        sys.exit(f"no versitygw at {gateway}; set FOREBAY_VERSITYGW to the binary")
    environment = dict(os.environ, UPSTREAM_PROBE=os.path.abspath(arguments.probe),
                       FOREBAY_VERSITYGW=gateway)
    command = [python_with_packages(), "-m", "unittest", *(rest or ["discover", "-p", "*_test.py"])]
    sys.exit(subprocess.run(command, cwd=pathlib.Path(__file__).parent, env=environment).returncode)


if __name__ == "__main__":
    main()
