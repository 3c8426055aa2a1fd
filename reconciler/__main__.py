"""The `pvectl` command."""

from __future__ import annotations

import contextlib
import gc
import os
import sys

from reconciler import __version__
from reconciler.cli.streams import finish, prepare


def main() -> None:
    """Run the command line; `--version` answers before anything heavy is imported."""
    prepare()
    if sys.argv[1:] == ["--version"]:
        with contextlib.suppress(BrokenPipeError):
            os.write(sys.stdout.fileno(), f"pvectl {__version__}\n".encode())
        return
    from reconciler.cli.app import run

    status = run(sys.argv[1:])
    finish()
    gc.freeze()  # the process ends: what a large plan left behind needs no last look
    sys.exit(status)


if __name__ == "__main__":
    main()
