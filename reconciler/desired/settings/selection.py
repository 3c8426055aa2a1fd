"""Which clusters `--on` selects."""

from __future__ import annotations


def is_glob(on: str) -> bool:
    """Whether it is a pattern over the names of targets."""
    from reconciler.model.target import SANDBOX  # the options of a command line need no more of it

    return not on.startswith(SANDBOX) and any(letter in on for letter in "*?[")
