"""Which guests have the backups that their jobs promise."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from itertools import pairwise
from typing import NamedTuple

from reconciler.kinds.backup.run import is_saved_by, storage_of
from reconciler.kinds.backup.table import BackupSpec
from reconciler.model.backups import Archive
from reconciler.model.inventory import Facts, Guest
from reconciler.model.recoverability import Freshness, GuestBackups
from reconciler.model.spec import State
from reconciler.pve.calendar.event import parse
from reconciler.pve.calendar.runs import CalendarEvent, runs

GRACE = 6 * 3600
"""Seconds that a run may take until its archives are missed."""

AHEAD = 3600
"""Seconds by which the clocks of nodes and backup servers may differ; an archive dated later is not
believed."""

_LONGEST = timedelta(days=5 * 366)
"""How far back a run is looked for."""

Found = Sequence[tuple[str, Archive]]
"""Storage and archive."""


def survey(
    live: State,
    facts: Facts,
    found: Found,
    visible: Collection[int],
    now: int,
    zone: tzinfo,
) -> list[GuestBackups]:
    """Every guest but templates that no job saves, in order.

    `visible`: the guests whose archives the caller may see. `zone`: of the nodes' clocks, in which
    schedules are meant.
    """
    jobs = {
        address.id: spec
        for address, spec in sorted(live.items())
        if isinstance(spec, BackupSpec) and spec.enabled
    }
    due = {name: last_due(spec.schedule, now - GRACE, zone) for name, spec in jobs.items()}
    by_guest: dict[int, list[tuple[str, Archive]]] = {}
    reached: set[tuple[str, str]] = set()
    for storage, archive in found:
        if _is_of(archive, facts):
            by_guest.setdefault(archive.guest, []).append((storage, archive))
            guest = facts.guests[archive.guest]
            reached.update((n, storage) for n, spec in jobs.items() if is_saved_by(spec, guest))
    surveyed = []
    for guest in facts.guests.values():
        mine = [
            Due(name, storage_of(spec), due[name], (name, storage_of(spec)) in reached)
            for name, spec in jobs.items()
            if is_saved_by(spec, guest)
        ]
        if not mine and guest.template:
            continue
        sees, left = guest.vmid in visible, guest.vmid in facts.unsaved
        own = by_guest.get(guest.vmid, [])
        ahead = tuple(archive for _, archive in own if archive.made > now + AHEAD)
        known = [one for one in own if one[1].made <= now + AHEAD]
        surveyed.append(_judged(guest, mine, known, sees, left)._replace(ahead=ahead))
    return surveyed


def _is_of(archive: Archive, facts: Facts) -> bool:
    """Whether it is of a guest that is there, and not of one of the other kind that had its id."""
    guest = facts.guests.get(archive.guest)
    return guest is not None and archive.kind in ("", "unknown", guest.kind)


class Due(NamedTuple):
    """A job that is to save a guest: when its last run was due; `reached`: it has made an archive
    of any guest on its storage, so that it is not a new one."""

    job: str
    storage: str
    at: int
    reached: bool


def _behind(due: Due, newest: Mapping[str, Archive]) -> bool:
    """Whether the storage of the job has no archive of its last run."""
    archive = newest.get(due.storage)
    return due.at > 0 and (archive.made < due.at if archive else due.reached)


def _judged(
    guest: Guest,
    jobs: Sequence[Due],
    found: Found,
    sees: bool,  # noqa: FBT001
    left: bool,  # noqa: FBT001
) -> GuestBackups:
    oldest_first = sorted(found, key=lambda one: one[1].made)
    newest = {storage: archive for storage, archive in oldest_first if archive.good}
    bad = {storage: one for storage, one in dict(oldest_first).items() if not one.good}
    ordered = sorted(newest.items(), key=lambda one: -one[1].made)
    behind = [one for one in jobs if _behind(one, newest)]
    if not any(one.storage in newest for one in jobs):
        elsewhere = ordered[0][1].made if ordered else 0
        behind = [one for one in jobs if one.at and (one.storage in bad or elsewhere < one.at)]
    if not sees:
        state = Freshness.UNKNOWN
    elif not jobs:
        state = Freshness.LEFT_OUT if left else Freshness.NO_JOB
    elif not ordered:
        state = Freshness.NEVER
    else:
        state = Freshness.STALE if behind else Freshness.FRESH
    return GuestBackups(
        guest.vmid,
        guest.name,
        guest.node,
        state,
        tuple(one.job for one in jobs),
        tuple(ordered),
        len(found),
        max((one.at for one in behind or jobs), default=0),
        tuple(_shrunk(found)),
        behind=tuple(one.job for one in behind),
        bad=tuple(sorted(bad.items())),
    )


def _shrunk(found: Found) -> Iterable[tuple[Archive, Archive]]:
    """The newest archive of a storage and the previous one, where it has less than half its size,
    and not because it alone is compressed."""
    by_storage: dict[str, list[Archive]] = {}
    for storage, archive in found:
        by_storage.setdefault(storage, []).append(archive)
    for archives in by_storage.values():
        for older, newer in list(pairwise(sorted(archives, key=lambda one: one.made)))[-1:]:
            now_compressed = _is_plain(older) and not _is_plain(newer)
            if newer.size * 2 < older.size and not now_compressed:
                yield newer, older


def _is_plain(archive: Archive) -> bool:
    return archive.volume.endswith((".tar", ".vma"))


def orphans(facts: Facts, found: Found) -> Mapping[int, tuple[Archive, ...]]:
    """Guest that is gone, or one of another kind had its id before -> its archives, oldest
    first."""
    gone: dict[int, list[Archive]] = {}
    for _, archive in found:
        if archive.guest and not _is_of(archive, facts):
            gone.setdefault(archive.guest, []).append(archive)
    return {guest: tuple(sorted(gone[guest], key=lambda one: one.made)) for guest in sorted(gone)}


def last_due(schedule: str, until: int, zone: tzinfo) -> int:
    """The last run at or before `until`, both in Unix seconds; 0 where there was none lately."""
    try:
        event = parse(schedule)
    except ValueError:
        return 0
    end = datetime.fromtimestamp(until, zone)
    span = timedelta(hours=1)
    while span < _LONGEST:
        found = _last(event, end - span, end)
        if found is not None:
            return int(found.timestamp())
        span *= 4
    return 0


def _last(event: CalendarEvent, start: datetime, end: datetime) -> datetime | None:
    last = None
    for moment in runs(event, start):
        if moment > end:
            break
        last = moment
    return last
