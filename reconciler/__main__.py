"""The `pvectl` command."""

from __future__ import annotations

import sys

from reconciler import __version__


def main() -> None:
    """Run the command line; `--version` answers before anything heavy is imported."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"pvectl {__version__}\n")
        return
    from reconciler.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
