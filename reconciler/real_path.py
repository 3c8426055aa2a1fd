"""Where a path leads."""

from __future__ import annotations

import os
from pathlib import Path


def real_path(path: Path) -> Path:
    """The absolute path with all links followed.

    Unlike with `Path.resolve`, circular links are not an error: the result ends at the first of
    them, and opening it fails.
    """
    return Path(os.path.realpath(path))
