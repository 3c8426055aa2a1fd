"""Whose turn it is: the cluster that a command works on, and what it has said so far."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Turn:
    """The work on one cluster.

    `captured`: it is one of several at once, so its documents are kept: (format, file or None) ->
    texts. `errors`: texts for standard error. `changes` is None where nothing was compared;
    `findings` and `access` are words. `declared`: address -> digest of what the files declare.
    `status` is None for a cluster that was not started.
    """

    name: str
    captured: bool = False
    documents: dict[tuple[str, Path | None], list[str]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    changes: int | None = None
    findings: str = ""
    access: str = ""
    declared: dict[str, str] = field(default_factory=dict)
    status: int | None = None

    def keep(self, name: str, file: Path | None, text: str) -> None:
        """Keep a document until all clusters have had their turn."""
        self.documents.setdefault((name, file), []).append(text)


_CURRENT: ContextVar[Turn | None] = ContextVar("turn", default=None)


def current() -> Turn | None:
    """The turn of this thread; None outside of any."""
    return _CURRENT.get()


def capturing() -> Turn | None:
    """The turn of this thread, if it is one of several at once."""
    turn = _CURRENT.get()
    return turn if turn is not None and turn.captured else None


@contextmanager
def taking(turn: Turn) -> Iterator[Turn]:
    """Make it the turn of this thread."""
    token = _CURRENT.set(turn)
    try:
        yield turn
    finally:
        _CURRENT.reset(token)
