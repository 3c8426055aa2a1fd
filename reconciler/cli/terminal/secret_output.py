"""A secret on standard output, once: for a terminal or a pipe."""

from __future__ import annotations

import os
import stat
import sys

from reconciler.errors import SinkFailed


def require_reader() -> None:
    """A file would silently keep the secret, readable by anyone who may read the file."""
    mode = os.fstat(sys.stdout.fileno()).st_mode
    if stat.S_ISREG(mode) or (stat.S_ISCHR(mode) and not os.isatty(sys.stdout.fileno())):
        raise SinkFailed(
            "standard output is neither a terminal nor a pipe: the secret would stay in a file, "
            "or be lost",
            hint='use secret_to = { file = "secrets/NAME" }, which gets mode 0600',
        )


def print_secret(secret: str) -> None:
    """Print it once, on a line of its own; raises SinkFailed if it cannot be written."""
    try:
        sys.stdout.write(f"{secret}\n")
        sys.stdout.flush()
    except OSError as error:
        raise SinkFailed(
            f"the secret cannot be written to standard output: {error.strerror}",
            hint="make sure that the program behind the pipe reads to the end",
        ) from None
