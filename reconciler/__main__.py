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
    _leave_no_core_dump()
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"  # nor looked for, which takes 7 ms
    gc.set_threshold(1_000_000)  # imports and a large state: many small values and few cycles
    from reconciler.cli.app import run

    status = run(sys.argv[1:])
    finish()
    gc.freeze()  # the process ends: what a large plan left behind needs no last look
    sys.exit(status)


def _leave_no_core_dump() -> None:
    """A crash of the interpreter must not write secrets to the disk; nor one of a child."""
    import resource

    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


if __name__ == "__main__":
    main()
