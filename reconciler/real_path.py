"""Where a path leads."""

from __future__ import annotations

import os
from pathlib import Path


def real_path(path: Path) -> Path:
    """The absolute path with all links followed.

    Unlike with `Path.resolve`, circular links are not an error: the first one of them
    stands in the result, and whoever opens it is told.
    """
    return Path(os.path.realpath(path))
