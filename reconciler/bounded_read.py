"""Read a file of unknown origin: at most a given size, and nothing that never ends."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

LARGEST = 256 << 20
"""Bytes; no plan, journal or report of pvectl is nearly as large."""


def read_bounded(path: Path, largest: int = LARGEST, *, regular: bool = False) -> bytes:
    """The content of a file. Raises OSError, also for more than `largest` bytes, and, with
    `regular`, for a pipe or a device, which is not waited for."""
    flags = os.O_RDONLY | os.O_CLOEXEC | (os.O_NONBLOCK if regular else 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        if regular and not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        content = file.read(largest + 1)
    if len(content) > largest:
        raise OSError(errno.EFBIG, f"it is larger than {largest:,} bytes")
    return content
