"""Which backups a drill restores, and which guests were not drilled in time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from reconciler.model.address import Address
from reconciler.model.backups import Archive
from reconciler.model.drill import NOT_DRILLED, Drilled
from reconciler.model.finding import Finding, Severity
from reconciler.model.policy import Check, Drill
from reconciler.model.recoverability import (
    DISKS_LEFT_OUT,
    STALE_BACKUP,
    BackupStatus,
    Freshness,
    GuestBackups,
)
from reconciler.text.humanize import count, duration, listed, moment
from reconciler.text.period import seconds_of

_SHOWN = 8
"""How many guests a finding names."""


def sampled(guests: Iterable[int], known: Mapping[int, Drilled], most: int) -> list[int]:
    """Those whose last drill is the longest ago, never drilled ones first."""

    def last(guest: int) -> tuple[int, int]:
        return (known[guest].last.began if guest in known else 0, guest)

    return sorted(guests, key=last)[:most]


def checks_of(drill: Drill, guest: int, tags: Iterable[str]) -> tuple[Check, ...]:
    """What is checked: what is given for the guest itself, else for each of its tags."""
    own = drill.guest.get(str(guest))
    if own is not None:
        return (own.check,)
    return tuple(drill.tag[tag].check for tag in sorted(set(tags)) if tag in drill.tag)


def newest(archives: Sequence[Archive], *, oldest: bool = False) -> Archive | None:
    """The newest good one, or the oldest; None where there is none."""
    good = sorted((one for one in archives if one.good), key=lambda one: one.made)
    if not good:
        return None
    return good[0] if oldest else good[-1]


def with_drills(
    guests: Iterable[GuestBackups], known: Mapping[int, Drilled], drill: Drill, now: int
) -> Iterator[GuestBackups]:
    """Each guest with what is known of its drills; those that a job saves are to be drilled in
    time."""
    for one in guests:
        late = overdue([one.guest], known, drill, now) if one.jobs else {}
        yield one._replace(drilled=known.get(one.guest), overdue=bool(late))


def findings(status: BackupStatus, drill: Drill, now: int) -> Iterable[Finding]:
    """Findings of `drift` about backups. A guest that was never backed up may be in a new job."""
    stale = [one for one in status.guests if one.state is Freshness.STALE]
    if stale:
        names = [f"{one.guest} (due {moment(one.due)})" for one in stale]
        yield Finding(
            STALE_BACKUP,
            Severity.WARNING,
            f"{count(len(stale), 'guest')} without a backup since the last scheduled run: "
            f"{listed(names, _SHOWN)}",
            hint="pvectl backup status",
        )
    never = [str(one.guest) for one in status.guests if one.state is Freshness.NEVER]
    if never:
        yield Finding(
            "NEVER_SAVED",
            Severity.NOTE,
            f"in an enabled backup job, but never backed up: guest{'s' * (len(never) > 1)} "
            f"{listed(never, _SHOWN)}",
            hint="pvectl backup status",
        )
    for one in status.guests:
        if one.left_out:
            yield Finding(
                DISKS_LEFT_OUT,
                Severity.WARNING,
                f"{one.guest} ({', '.join(disk.key for disk in one.left_out)})",
                address=Address("guest", str(one.guest)),
            )
    known = {one.guest: one.drilled for one in status.guests if one.drilled is not None}
    late = overdue((one.guest for one in status.guests if one.overdue), known, drill, now)
    yield from not_drilled(late, drill, now)


def in_one(found: Iterable[Finding]) -> Iterable[Finding]:
    """With all guests that have disks in no backup in one finding; they are waived one by one."""
    guests = []
    for one in found:
        if one.code == DISKS_LEFT_OUT:
            guests.append(one.message)
        else:
            yield one
    if guests:
        yield Finding(
            DISKS_LEFT_OUT,
            Severity.WARNING,
            f"in an enabled backup job, but not all of their disks: guest{'s' * (len(guests) > 1)} "
            f"{listed(guests, _SHOWN)}",
            hint="pvectl backup status says why; set backup=1 on the disk, or waive it with "
            'address = "guest.ID"',
        )


def overdue(
    guests: Iterable[int], known: Mapping[int, Drilled], drill: Drill, now: int
) -> dict[int, int]:
    """Guest -> when its last good drill was, in Unix seconds, 0 for never: where that is longer ago
    than [drill] every allows."""
    if not drill.every:
        return {}
    since = now - seconds_of(drill.every)
    last = {guest: _last_good(known.get(guest)) for guest in sorted(guests)}
    return {guest: when for guest, when in last.items() if when < since}


def _last_good(drilled: Drilled | None) -> int:
    return drilled.good.began if drilled is not None and drilled.good is not None else 0


def not_drilled(late: Mapping[int, int], drill: Drill, now: int) -> Iterable[Finding]:
    """One finding about all of them."""
    if not late:
        return
    names = [
        f"{guest} ({duration(now - when)} ago)" if when else f"{guest} (never)"
        for guest, when in late.items()
    ]
    ids = " ".join(f"--guest {guest}" for guest in list(late)[:_SHOWN])
    yield Finding(
        NOT_DRILLED,
        Severity.WARNING,
        f"{count(len(late), 'guest')} without a successful restore drill within {drill.every}: "
        f"{listed(names, _SHOWN)}",
        hint=f"pvectl drill {ids}",
    )
