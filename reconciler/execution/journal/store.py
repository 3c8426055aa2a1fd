"""Find and open journals: where they are kept, and which run is unfinished."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from reconciler.errors import JournalBroken, JournalFailed, JournalUnfinished, UsageError
from reconciler.execution.journal.chain import newest
from reconciler.execution.journal.journal import RESERVE, Journal, read_journal
from reconciler.execution.journal.replay import point_of_no_return, reject_broken
from reconciler.execution.lock.local import refuse_running
from reconciler.execution.secrets.routing import as_redirected
from reconciler.kinds import specs
from reconciler.kinds.shared.step import misfit
from reconciler.model.address import Address
from reconciler.model.change import Change
from reconciler.model.grant import GrantChange
from reconciler.model.plan import Plan
from reconciler.model.run import RESTORED, ROLLED_BACK
from reconciler.model.run_state import OVERTAKEN, RunState
from reconciler.model.spec import canonical

TIMES = 4
"""A rollback is recorded in less than this many times the size of the plan."""

TAIL = 64 * 1024
"""Bytes at the end of a journal in which its last line is looked for."""

OPENED = frozenset({"continued", "taking", OVERTAKEN})
"""Events of a resumed run, before it has the lock."""

YEAR_9999 = 253_370_764_800
"""Unix seconds; datetime knows no later year."""

KEPT = 50
"""How many of the newest journals are read for what was applied before."""


def home(environ: Mapping[str, str] = os.environ) -> Path:
    """`$PVECTL_HOME`, else the XDG state folder: ~/.local/state/pvectl. Raises UsageError.

    It never depends on the current folder, from which an unfinished run could not be found
    elsewhere.
    """
    given = environ.get("PVECTL_HOME", "")
    if given:
        if not Path(given).is_absolute():
            raise UsageError(
                f"PVECTL_HOME is '{given}', a relative path",
                hint=f"use an absolute path: PVECTL_HOME={Path(given).absolute()}",
            )
        return Path(given)
    base = environ.get("XDG_STATE_HOME", "")
    if not Path(base).is_absolute():  # to be ignored (XDG Base Directory Specification)
        base = str(_account_home(environ) / ".local" / "state")
    return Path(base) / "pvectl"


def _account_home(environ: Mapping[str, str]) -> Path:
    """HOME, else the home of the account in the system's database; a container may have neither."""
    if Path(environ.get("HOME", "")).is_absolute():
        return Path(environ["HOME"])
    with contextlib.suppress(KeyError):
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    raise UsageError(
        f"user id {os.getuid()} has no home folder to keep journals in",
        hint="set PVECTL_HOME to a folder that lasts from run to run",
    )


def base_of(endpoint: str) -> Path:
    """The folder of a cluster's journals and lock file, named by one of its addresses."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", endpoint.removeprefix("https://")).strip("_")
    return home() / "journal" / name


def journals(folder: Path) -> list[Path]:
    """The journals of a folder, oldest first."""
    return sorted(folder.glob("*.jsonl"))


def unfinished(folder: Path) -> Path | None:
    """The newest journal of an unfinished run; raises JournalBroken, JournalFailed."""
    for path in reversed(journals(folder)):
        if not seems_finished(path):
            state = RunState.of(read_journal(path))
            if state.events and not state.is_finished:
                return path
    return None


def not_restored(folder: Path) -> Path | None:
    """The newest journal, if its run was rolled back incompletely.

    A later complete run supersedes it. Raises JournalBroken, JournalFailed.
    """
    for path in journals(folder)[-1:]:
        state = RunState.of(read_journal(path))
        last = state.events[-1] if state.events else None
        if last is not None and state.is_finished and last.data.get("outcome") == ROLLED_BACK:
            became = last.data.get("objects", {}).values()
            return path if set(became) - RESTORED else None
    return None


def seems_finished(path: Path) -> bool:
    """Whether the last line is that of a complete run; reading only that keeps many old journals
    cheap.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL))
            last = json.loads(file.read().rstrip(b"\n").rpartition(b"\n")[2])
        return last["event"] == "end" and not last["data"].get("unfinished")
    except (
        OSError,
        ValueError,
        OverflowError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ):
        return False


def refuse_unfinished(folder: Path) -> None:
    """Raise JournalUnfinished, with the commands to run, where a run is unfinished."""
    path = unfinished(folder)
    if path is not None:
        raise JournalUnfinished(
            f"a previous run is unfinished: {path}",
            hint=f"`pvectl status` shows it; {_ways_on(path)}",
        )


def _ways_on(path: Path) -> str:
    """What can be done about an unfinished run."""
    state = RunState.of(read_journal(path))
    with contextlib.suppress(JournalBroken):
        pivot = point_of_no_return(state, plan_of(state, path).steps)
        if pivot:
            return f"`pvectl resume` finishes it; {pivot} cannot be rolled back any more"
    if state.is_rolling_back:
        return "`pvectl resume` finishes the rollback"
    return "`pvectl resume` finishes it, `pvectl rollback` undoes it"


def refuse_to_begin(folder: Path) -> None:
    """Raise Locked while another run of this machine writes (its journal is unfinished as well, but
    must not be resumed), or JournalUnfinished for a run that is dead.
    """
    refuse_running(folder)
    try:
        refuse_unfinished(folder)
    except JournalUnfinished:
        refuse_running(folder)  # it may have started in between
        raise


def start(
    folder: Path,
    plan: Plan,
    owner: str,
    run_url: str,
    now: float,
    signer: str = "",
    grant: Mapping[str, Any] = MappingProxyType({}),
) -> Journal:
    """A new journal that begins with the plan, its signer, the `grant` of grants.toml that changes
    with it, and the last hash of the previous journal; raises JournalFailed.
    """
    moment = dt.datetime.fromtimestamp(now, dt.UTC)
    path = folder / f"{moment:%Y%m%dT%H%M%S.%f}Z-{os.getpid()}.jsonl"
    content = plan.to_json()
    journal = Journal.create(path, RESERVE + TIMES * len(canonical(content)))
    begin: dict[str, Any] = {"owner": owner, "run": run_url, "time": round(now, 3)}
    if signer:
        begin["signer"] = signer
    if grant:
        begin["grant"] = grant
    follows = newest(folder, besides=path)
    if follows:
        begin["follows"] = follows
    try:
        journal.write("begin", plan=content, digest=plan.digest, **begin)
    except JournalFailed:
        journal.discard_if_new()
        raise
    return journal


def go_on(path: Path, owner: str, run_url: str, now: float, *, back: bool) -> Journal:
    """The journal of a previous run, continued in its direction, or `back`.

    Raises JournalBroken, JournalFailed.
    """
    journal = Journal.open(path)
    direction = back or journal.state.is_rolling_back
    moment = round(now, 3)
    try:
        journal.write("continued", owner=owner, run=run_url, time=moment, back=direction)
    except JournalFailed:
        journal.close()
        raise
    return journal


def abandon(journal: Journal) -> None:
    """Undo the opening of a journal: delete a new one, close one that was complete."""
    before = list(journal.state.events)
    while before and before[-1].name in OPENED:
        before.pop()
    if len(journal.state.events) <= 1:
        journal.discard_if_new()
    elif len(before) < len(journal.state.events) and RunState.of(before).is_finished:
        journal.write("end", **before[-1].data)


def load(path: Path) -> tuple[Plan, RunState]:
    """The plan and the state of a recorded run; raises JournalBroken, JournalFailed."""
    state = RunState.of(read_journal(path))
    plan = plan_of(state, path)
    reject_broken(state, plan.steps)
    return plan, state


def plan_of(state: RunState, path: Path) -> Plan:
    """The plan at the beginning of a journal, with the latest destinations of its secrets; raises
    JournalBroken.
    """
    try:
        plan = Plan.from_json(state.events[0].data["plan"], specs())
        grant_of(state)
        _refuse_forged(plan, path)
        return replace(plan, steps=as_redirected(state, plan.steps))
    except (IndexError, KeyError, ValueError, OverflowError, TypeError):
        raise JournalBroken(
            f"{path.name} does not begin with a plan of this version",
            hint="use the version of pvectl that wrote it",
        ) from None


def grant_of(state: RunState) -> GrantChange | None:
    """The grant of grants.toml that changes together with the run; raises ValueError, KeyError,
    TypeError."""
    found = state.events[0].data.get("grant") if state.events else None
    return None if found is None else GrantChange.from_json(found)


def _refuse_forged(plan: Plan, path: Path) -> None:
    """Raise JournalBroken unless each step does exactly what its changes show."""
    for number, step in enumerate(plan.steps, 1):
        why = misfit(step)
        if why:
            raise JournalBroken(
                f"step {number} of {path.name} is not what this version of pvectl does: {why}",
                hint="nothing was sent; use the version of pvectl that wrote the journal; if that "
                "is this one, find out who changed it",
            )


def applied(folder: Path, since: float = 0) -> list[Change]:
    """What the runs started after `since` (Unix seconds) changed, in order, each change with its
    outcome; as far as this machine knows.
    """
    left: list[Change] = []
    second = dt.datetime.fromtimestamp(min(max(since - 1, 0), YEAR_9999), dt.UTC)
    oldest = f"{second:%Y%m%dT%H%M%S}"  # as `start` names them
    for path in journals(folder)[-KEPT:]:
        if path.name < oldest:
            continue
        with contextlib.suppress(JournalBroken, JournalFailed):
            events = read_journal(path)
            if not events or float(events[0].data.get("time", 0)) < since:
                continue
            plan = plan_of(RunState.of(events), path)
            changes = {str(change.address): change for change in plan.changes}
            for event in events:
                objects = event.data.get("objects", {}) if event.name == "end" else {}
                for name, became in objects.items():
                    if name in changes and became in _LEFT:
                        change = changes[name]
                        after = change.after if became == "done" else change.before
                        left.append(change._replace(after=after))
    return left


def last_applied(folder: Path) -> dict[Address, tuple[float, str]]:
    """When this machine last changed each object (Unix seconds), and who ran it; as far as its
    journals go back."""
    found: dict[Address, tuple[float, str]] = {}
    for path in journals(folder)[-KEPT:]:
        with contextlib.suppress(JournalBroken, JournalFailed):
            events = read_journal(path)
            begin = events[0].data if events else {}
            for event in events:
                objects = event.data.get("objects", {}) if event.name == "end" else {}
                for name in (name for name, became in objects.items() if became == "done"):
                    who = str(begin.get("owner", ""))
                    found[Address.parse(name)] = (float(begin.get("time", 0)), who)
    return found


_LEFT = frozenset({"done", "undone"})
"""What became of an object of which it is known how it was left."""
