"""Where journals are kept, and which of them is unfinished."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from reconciler.errors import JournalBroken, JournalFailed, JournalUnfinished
from reconciler.execution.journal import Event, Journal, is_finished, read_journal
from reconciler.kinds import specs
from reconciler.model.address import Address
from reconciler.model.plan import Plan

KEPT = 50
"""How many of the newest journals are looked at for what was applied before."""


def home(environ: Mapping[str, str] = os.environ) -> Path:
    """`$PVECTL_HOME`, else the XDG folder for state: ~/.local/state/pvectl."""
    if environ.get("PVECTL_HOME"):
        return Path(environ["PVECTL_HOME"])
    base = environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "pvectl"


def folder_of(cluster: str, base: Path | None = None) -> Path:
    """The folder of a cluster's journals and of its lock file."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", cluster.removeprefix("https://")).strip("_")
    return (base or home()) / "journal" / name


def journals(folder: Path) -> list[Path]:
    """Oldest first."""
    return sorted(folder.glob("*.jsonl"))


def unfinished(folder: Path) -> Path | None:
    """The newest journal whose run did not come to an end."""
    for path in reversed(journals(folder)):
        events = read_journal(path)
        if events and not is_finished(events):
            return path
    return None


def refuse_unfinished(folder: Path) -> None:
    """Raises JournalUnfinished with what to type."""
    path = unfinished(folder)
    if path is not None:
        raise JournalUnfinished(
            f"an earlier run did not come to its end: {path}",
            hint="pvectl status shows where it stands; pvectl resume finishes it, "
            "pvectl rollback takes it back",
        )


def start(folder: Path, plan: Plan, owner: str, run_url: str, fence: int, now: float) -> Journal:
    """A new journal that begins with the plan; raises JournalFailed."""
    moment = dt.datetime.fromtimestamp(now, dt.UTC)
    path = folder / f"{moment:%Y%m%dT%H%M%S.%f}Z-{os.getpid()}.jsonl"
    journal = Journal.create(path)
    journal.write(
        "begin",
        plan=plan.to_json(),
        digest=plan.digest,
        owner=owner,
        run=run_url,
        fence=fence,
        time=round(now, 3),
    )
    return journal


def going_back(events: Sequence[Event]) -> bool:
    """Whether the run of these events had turned round before it stopped."""
    last = [event.name for event in events if event.name in ("begin", "rollback")]
    return bool(last) and last[-1] == "rollback" and not is_finished(events)


def plan_of(events: list[Event], path: Path) -> Plan:
    """The plan with which a journal begins; raises JournalBroken."""
    try:
        return Plan.from_json(events[0].data["plan"], specs())
    except (IndexError, KeyError, ValueError, TypeError):
        raise JournalBroken(
            f"{path.name} does not begin with a plan of this version",
            hint="use the version of pvectl that wrote it",
        ) from None


def applied(folder: Path) -> frozenset[Address]:
    """The objects that the newest run left as declared, as far as this machine knows."""
    done: dict[str, str] = {}
    for path in journals(folder)[-KEPT:]:
        with contextlib.suppress(JournalBroken, JournalFailed):
            for event in read_journal(path):
                done.update(event.data.get("objects", {}) if event.name == "end" else {})
    return frozenset(Address.parse(name) for name, became in done.items() if became == "done")
