"""Chain journals by hash, so that changes and removals are detected.

A journal begins with `follows`, the name of the newest journal at that time and the hash of its
last line. Someone who can write to $PVECTL_HOME could rewrite all of them or remove the newest; a
hash recorded elsewhere (`pvectl log --head HASH`) detects that, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.errors import JournalBroken, JournalFailed
from reconciler.execution.journal.journal import read_chain
from reconciler.model.run import Event
from reconciler.model.run_state import RunState

if TYPE_CHECKING:
    from reconciler.model.run_log import LoggedRun, RunLog


def newest(folder: Path, besides: Path) -> dict[str, str]:
    """The `journal` and `hash` that a new journal follows: those of the newest one other than
    `besides`.

    Empty for the first journal, and after one that cannot be read, which `pvectl log` then reports.
    """
    before = sorted(path for path in folder.glob("*.jsonl") if path != besides)
    return {"journal": before[-1].name, "hash": last_hash(before[-1])} if before else {}


def last_hash(journal: Path) -> str:
    """The hash of its last complete line; "" where there is none."""
    try:
        lines = journal.read_bytes().split(b"\n")[:-1]
        last = next(line for line in reversed(lines) if line and b"\0" not in line)
        return str(json.loads(last)["hash"])
    except (OSError, ValueError, OverflowError, KeyError, TypeError, StopIteration):
        return ""


def read_log(folder: Path, cluster: str, head: str = "") -> RunLog:
    """Every journal of a folder, verified; `head` is a hash that one of them must contain."""
    from reconciler.model.run_log import RunLog

    found = list(verified(folder, set()))
    runs = tuple(_logged(*one) for one in found)
    held = not head or any(one.startswith(head) for _, _, hashes, _ in found for one in hashes)
    return RunLog(cluster, runs, "" if held else head)


def verified(
    folder: Path, followed: set[str] | None
) -> Iterator[tuple[str, list[Event], list[str], str]]:
    """The journals of a folder, oldest first: name, events, hashes, and why it is not intact, ""
    where it is. `followed`: those that already have a successor, None where they may have two."""
    known: dict[str, list[str]] = {}
    for path in sorted(folder.glob("*.jsonl")):
        try:
            events, hashes = read_chain(path)
        except (JournalBroken, JournalFailed) as error:
            events, hashes, trouble = [], [], error.summary
        else:
            first = events[0].data if events else {}
            trouble = _gap(first.get("follows"), known, followed)
        yield path.name, events, hashes, trouble
        known[path.name] = hashes


def _gap(follows: object, known: Mapping[str, list[str]], followed: set[str] | None) -> str:
    """Why a journal does not follow from an earlier one; "" where it does. `followed`: the journals
    that already have a successor, None where they may have two.

    One without `follows` is the first on this machine, belongs to a cluster known by several
    addresses, or is from a release that did not chain journals.
    """
    if not isinstance(follows, Mapping):
        return ""
    name, wanted = str(follows.get("journal", "")), str(follows.get("hash", ""))
    if name not in known:
        return f"the journal before it, {name}, is missing"
    if known[name] and wanted not in known[name]:
        return f"{name}, the journal before it, was altered or truncated since"
    if followed is None:
        return ""
    if name in followed:
        return f"it follows {name}, which another journal follows already"
    followed.add(name)
    return ""


def _logged(name: str, events: list[Event], hashes: list[str], trouble: str) -> LoggedRun:
    from reconciler.model.run_log import LoggedRun

    state = RunState.of(events)
    if not events:
        return LoggedRun(name=name, trouble=trouble)
    begin: Mapping[str, Any] = events[0].data
    plan: Mapping[str, Any] = begin.get("plan", {})
    steps = plan.get("steps", ())
    objects = {one.get("address") for step in steps for one in step.get("changes", ())}
    last = events[-1]
    return LoggedRun(
        name=name,
        began=float(begin.get("time", 0)),
        ended=state.last_time if state.is_finished else 0.0,
        outcome=str(last.data.get("outcome", "ended")) if state.is_finished else "unfinished",
        owner=str(begin.get("owner", "")),
        actor=str(plan.get("actor", "")),
        signer=state.signer,
        run=str(begin.get("run", "")),
        source=str(plan.get("source", "")),
        digest=str(begin.get("digest", "")),
        changes=len(objects),
        head=hashes[-1],
        trouble=trouble or state.broken,
    )
