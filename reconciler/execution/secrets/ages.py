"""Determine when the secrets of tokens were created, from the journals on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from reconciler.errors import JournalBroken, JournalFailed
from reconciler.execution.journal.journal import read_journal
from reconciler.execution.journal.store import journals, plan_of
from reconciler.kinds import kind_of
from reconciler.model.change import Change
from reconciler.model.run_state import RunState


def secret_ages(folder: Path) -> Mapping[str, int]:
    """Token -> Unix seconds of the run that created it or its present secret."""
    found: dict[str, int] = {}
    for path in journals(folder):
        with contextlib.suppress(JournalBroken, JournalFailed, KeyError, ValueError):
            found.update(_of_run(path))
    return found


def _of_run(path: Path) -> Iterator[tuple[str, int]]:
    events = read_journal(path)
    became = {
        name: state
        for event in events
        if event.name == "end"
        for name, state in event.data.get("objects", {}).items()
    }
    for change in plan_of(RunState.of(events), path).changes if events else ():
        if became.get(str(change.address)) == "done" and _has_new_secret(change):
            yield change.address.id, int(events[0].data["time"])


def _has_new_secret(change: Change) -> bool:
    if change.address.kind != "token" or change.after is None:
        return False
    return change.before is None or kind_of(change.address).secrets.sink(change) is not None
