"""Summarize paths as groups: a path with everything below it, the guests of a pool."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from reconciler.access.path_index import PathIndex
from reconciler.text.humanize import count

EXCEPTIONS = 4
"""Maximum number of exceptions of a group, which must be fewer than a quarter of it."""


class PathGroup(NamedTuple):
    """`below`: how many known paths below `path` belong to it; those in `but` do not.

    With a `pool`: all `guests` and `storages` of that pool, and `path` is the pool's own path or
    "". Without both it is `path` alone.
    """

    path: str
    below: int = 0
    but: tuple[str, ...] = ()
    pool: str = ""
    guests: int = 0
    storages: int = 0

    def __str__(self) -> str:
        if self.pool:
            members = (self.guests, "guest"), (self.storages, "storage")
            text = " and ".join(count(number, name) for number, name in members if number)
            return (
                f"pool {self.pool} and its {text}" if self.path else f"{text} of pool {self.pool}"
            )
        text = f"{self.path} and all below" if self.below else self.path
        return f"{text} except {', '.join(self.but)}" if self.but else text


class _Pool(NamedTuple):
    path: str
    guests: list[str]
    storages: list[str]


class PathGroups:
    """Groups paths. `known`: all existing paths; `members`: of each pool's path."""

    def __init__(self, known: PathIndex, members: Mapping[str, Sequence[str]]) -> None:
        self._known = known
        self._pools = [
            _Pool(
                pool,
                [path for path in members[pool] if path.startswith("/vms/")],
                [path for path in members[pool] if path.startswith("/storage/")],
            )
            for pool in sorted(members)
        ]

    def of(self, paths: Sequence[str]) -> tuple[PathGroup, ...]:
        """These paths as the fewest groups."""
        known = self._known
        wanted = sorted(map(known.position.__getitem__, paths))
        found: list[PathGroup] = []
        alone: dict[str, None] = {}
        done = -1
        for number, place in enumerate(wanted):
            if place <= done:
                continue
            end = known.ends[place]
            inside = end - place
            if inside > 1:
                inside = bisect_left(wanted, end, lo=number) - number
            missing = end - place - inside
            if end - place > 1 and missing <= EXCEPTIONS and missing * 4 < end - place:
                there = wanted[number : number + inside]
                but = sorted(set(range(place, end)).difference(there)) if missing else ()
                names = tuple(known.paths[at] for at in but)
                found.append(PathGroup(known.paths[place], inside - 1, names))
                done = end - 1
            else:
                alone[known.paths[place]] = None
        return (*found, *self._by_pools(alone))

    def _by_pools(self, rest: dict[str, None]) -> Iterator[PathGroup]:
        """Pools whose guests or storages are all among the paths, then the remaining paths."""
        for pool in self._pools:
            guests = _all_or_none(pool.guests, rest)
            storages = _all_or_none(pool.storages, rest)
            if len(guests) + len(storages) > 1:
                path = pool.path if pool.path in rest else ""
                name = pool.path.removeprefix("/pool/")
                yield PathGroup(path, 0, (), name, len(guests), len(storages))
                for gone in (*guests, *storages, *filter(None, [path])):
                    del rest[gone]
        for path in rest:
            yield PathGroup(path)


def _all_or_none(members: list[str], rest: Mapping[str, None]) -> list[str]:
    return members if all(path in rest for path in members) else []
