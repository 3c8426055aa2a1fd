"""Quote commands so that they can be pasted into a shell."""

from __future__ import annotations

import shlex


def shell(*words: str) -> str:
    """One command, quoted for a shell; also a `!`, which bash would expand from its history."""
    return shlex.join(words)
