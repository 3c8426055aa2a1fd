"""Which clusters `--on` selects."""

from __future__ import annotations

from reconciler.model.target import SANDBOX


def is_glob(on: str) -> bool:
    """Whether it is a pattern over the names of targets."""
    return not on.startswith(SANDBOX) and any(letter in on for letter in "*?[")
