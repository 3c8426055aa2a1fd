"""Many paths as a few areas: a path with everything below it, the guests of a pool."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from reconciler.access.pathset import PathSet

EXCEPTIONS = 4
"""An area has at most this many exceptions, and they are fewer than a quarter of it."""


class Area(NamedTuple):
    """`below`: how many known paths below `path` belong to it; those in `but` do not.

    With a `pool` these are `guests` and `storages` of that pool, all that it has, and `path` is the
    pool's own or empty. Without both it is `path` alone.
    """

    path: str
    below: int = 0
    but: tuple[str, ...] = ()
    pool: str = ""
    guests: int = 0
    storages: int = 0

    def __str__(self) -> str:
        if self.pool:
            members = _counted(self.guests, "guest"), _counted(self.storages, "storage")
            text = " and ".join(filter(None, members))
            return (
                f"pool {self.pool} and its {text}" if self.path else f"{text} of pool {self.pool}"
            )
        text = f"{self.path} and all below" if self.below else self.path
        return f"{text} but {', '.join(self.but)}" if self.but else text


def _counted(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}" if number else ""


def areas(
    paths: Sequence[str], known: PathSet, members: Mapping[str, Sequence[str]]
) -> tuple[Area, ...]:
    """The same paths as few areas. `known`: all paths there are; `members`: of each pool's path."""
    wanted = sorted(known.position[path] for path in paths)
    found: list[Area] = []
    alone: list[str] = []
    done = -1
    for number, place in enumerate(wanted):
        if place <= done:
            continue
        path = known.paths[place]
        start, end = known.span(path)
        inside = wanted[number : bisect_left(wanted, end, lo=number)]
        missing = end - start - len(inside)
        if end - start > 1 and missing <= EXCEPTIONS and missing * 4 < end - start:
            but = sorted(set(range(start, end)).difference(inside)) if missing else ()
            found.append(Area(path, len(inside) - 1, tuple(known.paths[at] for at in but)))
            done = end - 1
        else:
            alone.append(path)
    return (*found, *_pools(alone, members))


def _pools(alone: Iterable[str], members: Mapping[str, Sequence[str]]) -> Iterator[Area]:
    """Pools all of whose guests or storages are among the paths, then what is left."""
    rest = dict.fromkeys(alone)
    for pool in sorted(members):
        inside = [_all_of(pool, parent, rest, members) for parent in ("/vms/", "/storage/")]
        guests, storages = inside
        if len(guests) + len(storages) > 1:
            path = pool if pool in rest else ""
            yield Area(path, 0, (), pool.removeprefix("/pool/"), len(guests), len(storages))
            for gone in (*guests, *storages, *filter(None, [path])):
                del rest[gone]
    for path in rest:
        yield Area(path)


def _all_of(
    pool: str, parent: str, rest: Mapping[str, None], members: Mapping[str, Sequence[str]]
) -> list[str]:
    """The members of one sort, or none if not all of them are there."""
    found = []
    for path in members[pool]:
        if path.startswith(parent):
            if path not in rest:
                return []
            found.append(path)
    return found
