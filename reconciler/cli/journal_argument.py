"""A journal on the command line: its path, or its name as `pvectl log` shows it."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Annotated

import typer


def find_journal(given: Path | None) -> Path | None:
    """The path of a journal that is given by name; anything else stays as it is."""
    if given is None or given.exists() or len(given.parts) != 1:
        return given
    from reconciler.execution.journal import store

    name = glob.escape(given.name)
    recorded = store.home() / "journal"
    found = [path for folder in ("*", "*/drills") for path in recorded.glob(f"{folder}/{name}")]
    return found[0] if len(found) == 1 else given


JournalFile = Annotated[
    Path | None,
    typer.Argument(
        metavar="JOURNAL",
        help="A journal, by path or by its name in `pvectl log`; default: the unfinished one.",
        show_default=False,
        callback=find_journal,
    ),
]
