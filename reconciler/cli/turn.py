"""The cluster that a command works on at the moment, and its output so far."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

TYPE_CHECKING = False  # every start imports this module: neither typing nor pathlib for it
if TYPE_CHECKING:
    from pathlib import Path


class Turn:
    """The work on one cluster.

    `captured`: it is one of several at once, so its documents are kept: (format, file or None) ->
    texts. `beside`: others have their turn in this process meanwhile. `errors`: texts for standard
    error. `changes` is None where nothing was compared; `findings` and `access` are words.
    `declared`: address -> digest of what the files declare. `status` is None for a cluster that was
    not started.
    """

    def __init__(self, name: str, *, captured: bool = False, beside: bool = False) -> None:
        self.name = name
        self.captured = captured
        self.beside = beside
        self.documents: dict[tuple[str, Path | None], list[str]] = {}
        self.errors: list[str] = []
        self.changes: int | None = None
        self.findings = ""
        self.access = ""
        self.declared: dict[str, str] = {}
        self.status: int | None = None

    def keep(self, name: str, file: Path | None, text: str) -> None:
        """Keep a document until all clusters have had their turn."""
        self.documents.setdefault((name, file), []).append(text)


COMMAND_LINE: list[str] = []
"""The arguments of this process, for machines that do a part of its work."""

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
