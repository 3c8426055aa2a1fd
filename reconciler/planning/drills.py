"""Which backups a drill restores, and which guests were not drilled in time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from reconciler.model.backups import Archive
from reconciler.model.drill import NOT_DRILLED, Drilled
from reconciler.model.finding import Finding, Severity
from reconciler.model.policy import Check, Drill
from reconciler.text.humanize import count, duration, listed
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
        f"{count(len(late), 'guest')} had no good restore drill within {drill.every}: "
        f"{listed(names, _SHOWN)}",
        hint=f"pvectl drill {ids}",
    )
