"""`python -m reconciler.sandbox FOLDER --port N`: serve a folder laid out like /etc/pve."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from reconciler.sandbox.http.server import Sandbox
from reconciler.sandbox.settings import Settings


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m reconciler.sandbox", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=8006)
    arguments = parser.parse_args()
    sandbox = Sandbox(arguments.folder, arguments.port, Settings.from_environment())
    sys.stdout.write(f"{sandbox.url} serves {arguments.folder}\n")
    sys.stdout.write(f"SHA-256 fingerprint {sandbox.fingerprint}\n")
    sys.stdout.flush()
    try:
        sandbox.serve()
    except KeyboardInterrupt:
        sandbox.stop()


if __name__ == "__main__":
    main()
