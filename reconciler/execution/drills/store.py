"""Where drills are recorded: one journal each, and the last result of each guest.

They lie beside the journals of runs, in `drills/`. A drill changes nothing that a run concerns, so
neither keeps the other from its turn; two drills at once have different guests.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from reconciler.atomic_write import atomic_write
from reconciler.errors import JournalBroken, JournalFailed, JournalUnfinished, Locked
from reconciler.execution.journal.chain import last_hash, verified
from reconciler.execution.journal.journal import Journal, read_journal
from reconciler.execution.journal.store import seems_finished
from reconciler.execution.lock.local import PROBE, PROBES
from reconciler.execution.private_folder import make
from reconciler.model.drill import Drilled, DrillPlan, DrillResult, OpenDrill
from reconciler.model.run import Event
from reconciler.model.run_log import LoggedDrill
from reconciler.model.spec import canonical


def folder_of(cluster: Path) -> Path:
    """`cluster`: the folder of a cluster's journals."""
    return cluster / "drills"


@contextlib.contextmanager
def start(
    folder: Path, plan: DrillPlan, owner: str, run: str, now: float, actor: str = ""
) -> Iterator[Journal]:
    """A new journal that begins with the plan; raises JournalFailed.

    It is locked before anything is written, so that no other process takes it for abandoned.
    """
    moment = dt.datetime.fromtimestamp(now, dt.UTC)
    path = folder / f"{moment:%Y%m%dT%H%M%S.%f}Z-{os.getpid()}.jsonl"
    with Journal.create(path) as journal, held(path):
        try:
            who = {"owner": owner, "run": run, "actor": actor, "time": round(now, 3)}
            before = _follows(folder, path)
            chained = {"follows": before} if before else {}
            journal.write("begin", drill=plan.to_json(), **chained, **who)
        except JournalFailed:
            journal.discard_if_new()
            raise
        yield journal


def _follows(folder: Path, besides: Path) -> dict[str, str]:
    """The newest other drill that has started; two at once may follow the same one."""
    for path in sorted(folder.glob("*.jsonl"), reverse=True):
        if path != besides and (known := last_hash(path)):
            return {"journal": path.name, "hash": known}
    return {}


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Nobody else goes on with this drill meanwhile; the system drops that when the process dies.
    Raises Locked."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if not _taken(descriptor):
            raise Locked(
                "this drill is running on this machine right now",
                hint="wait for it; `pvectl status` shows it",
            )
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    """A query holds it only for a moment."""
    for _ in range(PROBES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(PROBE)
        else:
            return True
    return False


def is_running(path: Path) -> bool:
    """Whether a process of this machine works on this drill."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def plan_of(events: list[Event], path: Path) -> DrillPlan:
    """The plan with which a journal begins; raises JournalBroken."""
    try:
        return DrillPlan.from_json(events[0].data["drill"])
    except (IndexError, KeyError, ValueError, OverflowError, TypeError):
        raise JournalBroken(
            f"{path.name} does not begin with a drill of this version",
            hint="use the version of pvectl that wrote it",
        ) from None


def logged(folder: Path) -> tuple[LoggedDrill, ...]:
    """Every drill that this machine recorded, oldest first, and whether its journal is intact."""
    return tuple(_logged(*one) for one in verified(folder, None))


def _logged(name: str, events: list[Event], hashes: list[str], trouble: str) -> LoggedDrill:
    begin = events[0].data if events else {}
    ended = bool(events) and _has_ended(events)
    try:
        plan = DrillPlan.from_json(begin["drill"]) if events else None
        asked = [int(one.data["vmid"]) for one in events if one.name == "intent"]
        began = float(begin.get("time", 0))
    except (KeyError, ValueError, OverflowError, TypeError, IndexError):
        return LoggedDrill(name=name, trouble=trouble or "it does not begin with a drill")
    return LoggedDrill(
        name=name,
        guest=plan.guest if plan else 0,
        archive=plan.archive.volume if plan else "",
        vmid=asked[-1] if asked else 0,
        began=began,
        outcome=str(events[-1].data.get("outcome", "ended")) if ended else "unfinished",
        owner=str(begin.get("owner", "")),
        actor=str(begin.get("actor", "")),
        run=str(begin.get("run", "")),
        head=hashes[-1] if hashes else "",
        trouble=trouble,
    )


def is_drill(path: Path) -> bool:
    """Whether this is the journal of a drill, and not of a run."""
    events = read_journal(path)
    return bool(events) and "drill" in events[0].data


def open_drills(folder: Path) -> list[OpenDrill]:
    """The drills that have not ended, oldest first; raises JournalBroken, JournalFailed."""
    found = []
    for path in sorted(folder.glob("*.jsonl")):
        if seems_finished(path):
            continue
        events = read_journal(path)
        if not events or _has_ended(events):
            continue
        asked = [int(one.data["vmid"]) for one in events if one.name == "intent"]
        began = float(events[0].data.get("time", 0))
        plan = plan_of(events, path)
        vmids = tuple(dict.fromkeys(asked))
        found.append(OpenDrill(str(path), plan, vmids, began, is_running(path)))
    return found


def _has_ended(events: list[Event]) -> bool:
    return events[-1].name == "end" and not events[-1].data.get("unfinished")


def refuse_unfinished(folder: Path) -> None:
    """Raises JournalUnfinished for a drill that was interrupted: its guest may be there still."""
    dead = [one for one in open_drills(folder) if not one.running]
    if dead:
        ids = ", ".join(str(vmid) for one in dead for vmid in one.vmids) or "none"
        raise JournalUnfinished(
            f"a previous drill of guest {dead[0].plan.guest} is unfinished "
            f"(ids it may have used: {ids})",
            hint="`pvectl status` shows it; `pvectl resume` finishes it, `pvectl rollback` removes "
            "what it made",
        )


def keep_result(folder: Path, result: DrillResult) -> None:
    """For `backup status` and others; the newest one counts. Raises JournalFailed."""
    path = _result_file(folder, result.guest)
    before = _read(path)
    good = result if result.verdict.good else before.good if before else None
    last = result if before is None or result.began >= before.last.began else before.last
    content = Drilled(last, good).to_json()
    try:
        make(folder)
        atomic_write(path, canonical(content) + b"\n", private=True, follow=False)
    except OSError as error:
        raise JournalFailed(
            f"{path} cannot be written: {error.strerror}",
            hint="make room or set PVECTL_HOME to another folder",
        ) from None


def results(folder: Path) -> Mapping[int, Drilled]:
    """Guest -> what this machine knows of its drills."""
    found = {}
    for path in sorted(folder.glob("guest-*.json")):
        known = _read(path)
        if known is not None:
            found[known.last.guest] = known
    return found


def _result_file(folder: Path, guest: int) -> Path:
    return folder / f"guest-{guest}.json"


def _read(path: Path) -> Drilled | None:
    try:
        return Drilled.from_json(json.loads(path.read_bytes()))
    except (OSError, ValueError, OverflowError, KeyError, TypeError):
        return None
