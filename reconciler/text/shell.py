"""Commands that work when they are pasted into a shell."""

from __future__ import annotations

import shlex


def shell(*words: str) -> str:
    """One command for a shell; a `!` is quoted, too, which bash would take for its history."""
    return shlex.join(words)
