"""Which archives retention keeps: the algorithm of Proxmox VE.

PVE source: `prune_backups` of PVE::Storage::Plugin, `prune_mark_backup_group` of PVE::Storage.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from typing import NamedTuple

RULES = ("keep-last", "keep-hourly", "keep-daily", "keep-weekly", "keep-monthly", "keep-yearly")
"""In the order in which they are applied; `keep-all` comes before all of them."""

_STANDARD = re.compile(
    r"vzdump-(?:lxc|openvz|qemu)-[1-9][0-9]{2,8}-(\d{4}(?:_\d\d){2}-\d\d(?:_\d\d){2})\."
)
_PERIODS: Mapping[str, Callable[[datetime], object]] = {
    "keep-last": lambda moment: moment.timestamp(),
    "keep-hourly": lambda moment: (moment.date(), moment.hour),
    "keep-daily": lambda moment: moment.date(),
    "keep-weekly": lambda moment: moment.isocalendar()[:2],
    "keep-monthly": lambda moment: (moment.year, moment.month),
    "keep-yearly": lambda moment: moment.year,
}


class PruneMark(StrEnum):
    """What pruning does with an archive."""

    KEEP = "keep"
    REMOVE = "remove"
    PROTECTED = "protected"
    RENAMED = "renamed"


class Saved(NamedTuple):
    """An archive as pruning sees it; `group` is its kind and guest, `made` in Unix seconds."""

    group: tuple[str, int]
    made: int
    protected: bool = False
    renamed: bool = False


def is_renamed(volume: str) -> bool:
    """Whether an archive has a custom name, which pruning leaves alone. On a backup server, names
    consist of kind, guest and time.
    """
    name = volume.partition("backup/")[2] or volume
    found = _STANDARD.match(name)
    return "/" not in name and (found is None or moment_named(found[1], UTC) is None)


def moment_named(text: str, zone: tzinfo) -> datetime | None:
    """The time in the name of an archive, as in `2026_11_28-02_31_00`; None for a date that does
    not exist: such an archive has a custom name (`archive_info`)."""
    try:
        return datetime.strptime(text, "%Y_%m_%d-%H_%M_%S").replace(tzinfo=zone)
    except ValueError:
        return None


def rules_of(text: str) -> dict[str, int]:
    """`keep-last=3,keep-daily=7` as numbers; zero and empty values are omitted."""
    pairs = (part.partition("=") for part in re.split(r"[,;\s]+", text) if part)
    return {name: int(value) for name, _, value in pairs if value.isdigit() and int(value)}


def spelled(rules: Mapping[str, int]) -> str:
    """The inverse of `rules_of`, always in the same order."""
    return ",".join(f"{name}={rules[name]}" for name in RULES if rules.get(name))


def verdicts(found: Iterable[Saved], keep: Mapping[str, int], zone: tzinfo) -> list[PruneMark]:
    """What pruning does with each archive, in the given order.

    Days and weeks are those of the node's clock, `zone`. Rules that keep nothing keep everything,
    as `keep-all` does; protected archives are neither counted nor removed.
    """
    given = list(found)
    groups: dict[tuple[str, int], list[int]] = {}
    for number, one in enumerate(given):
        if not one.renamed and not one.protected:
            groups.setdefault(one.group, []).append(number)
    gone: set[int] = set()
    for numbers in groups.values():
        newest = sorted(numbers, key=lambda number: -given[number].made)
        kept = _kept([given[number].made for number in newest], keep, zone)
        gone |= {number for place, number in enumerate(newest) if place not in kept}
    return [_verdict(one, removed=number in gone) for number, one in enumerate(given)]


def _verdict(one: Saved, *, removed: bool) -> PruneMark:
    if one.protected:
        return PruneMark.PROTECTED
    if one.renamed:
        return PruneMark.RENAMED
    return PruneMark.REMOVE if removed else PruneMark.KEEP


def _kept(newest_first: Sequence[int], keep: Mapping[str, int], zone: tzinfo) -> set[int]:
    """The indexes of those that are kept. A rule skips periods of which a shorter rule has already
    kept an archive, and keeps the newest archive of each further one."""
    if keep.get("keep-all") or not any(keep.get(name) for name in RULES):
        return set(range(len(newest_first)))
    moments = [datetime.fromtimestamp(made, zone) for made in newest_first]
    kept: set[int] = set()
    passed: set[int] = set()
    for name in RULES:
        if not keep.get(name):
            continue
        period = _PERIODS[name]
        taken = {period(moments[place]) for place in kept}
        new: set[object] = set()
        for place, moment in enumerate(moments):
            if place in kept or place in passed:
                continue
            label = period(moment)
            if label in taken:
                continue
            if label in new:
                passed.add(place)
                continue
            if len(new) >= keep[name]:
                break
            new.add(label)
            kept.add(place)
    return kept
