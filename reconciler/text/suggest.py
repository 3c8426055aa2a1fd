"""Suggest the word that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LIKE = 0.65
"""From which likeness on a name is offered, between 0 and 1."""


def suggest(name: str, candidates: Iterable[str], likeness: float = LIKE) -> str:
    """The candidate most similar to `name`, or "" when none is similar enough.

    A candidate that differs only in case always wins; of several equally good ones the first in
    alphabetical order is taken.
    """
    known = sorted(set(candidates) - {name})
    folded = name.casefold()
    for candidate in known:
        if candidate.casefold() == folded:
            return candidate
    close = difflib.get_close_matches(name, known, 1, likeness)
    return close[0] if close else ""


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """`did you mean X?`, or "" when nothing is close."""
    likely = suggest(name, candidates)
    return f"did you mean {likely}?" if likely else ""
