"""When the secrets of tokens were created, and where they went: from the journals here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from reconciler.errors import JournalBroken, JournalFailed
from reconciler.execution.journal.journal import read_journal
from reconciler.execution.journal.store import journals, plan_of
from reconciler.kinds import kind_of
from reconciler.model.address import Address
from reconciler.model.change import Change
from reconciler.model.run_state import RunState
from reconciler.model.secret import SecretSink


def secret_ages(folder: Path) -> Mapping[str, int]:
    """Token -> Unix seconds of the run that created it or its present secret."""
    return {change.address.id: time for change, time in _made(folder)}


def places_of_secrets(folder: Path) -> Mapping[Address, SecretSink]:
    """Token -> where its last secret was delivered, for places that keep it."""
    sinks = {
        change.address: kind_of(change.address).secrets.sink(change) for change, _ in _made(folder)
    }
    return {
        token: sink for token, sink in sinks.items() if sink and not (sink.stdout or sink.command)
    }


def _made(folder: Path) -> Iterator[tuple[Change, int]]:
    """Each change that made a secret, with its time in Unix seconds; the latest last."""
    for path in journals(folder):
        with contextlib.suppress(JournalBroken, JournalFailed, KeyError, ValueError):
            yield from _of_run(path)


def _of_run(path: Path) -> Iterator[tuple[Change, int]]:
    events = read_journal(path)
    became = {
        name: state
        for event in events
        if event.name == "end"
        for name, state in event.data.get("objects", {}).items()
    }
    for change in plan_of(RunState.of(events), path).changes if events else ():
        if became.get(str(change.address)) == "done" and _has_new_secret(change):
            yield change, int(events[0].data["time"])


def _has_new_secret(change: Change) -> bool:
    if change.address.kind != "token" or change.after is None:
        return False
    return change.before is None or kind_of(change.address).secrets.sink(change) is not None
