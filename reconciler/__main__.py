"""The `pvectl` command."""

from __future__ import annotations

import gc
import sys

from reconciler import __version__


def main() -> None:
    """Run the command line; `--version` answers before anything heavy is imported."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"pvectl {__version__}\n")
        return
    from reconciler.cli.app import run

    status = run(sys.argv[1:])
    gc.freeze()  # the process ends: what a large plan left behind needs no last look
    sys.exit(status)


if __name__ == "__main__":
    main()
