"""Who and where is alike: groups principals and paths that get the same answers.

What a principal may do on a path depends on the entries above the path that concern it and on the
pools of which the path is a member. So all paths between two such entries are alike, and so are all
principals that have no entries of their own and are in the same groups. One question per cell is
enough to know everything about everybody.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from reconciler.access.evaluate import index_of, privileges
from reconciler.access.index import Flags
from reconciler.access.login import active
from reconciler.access.paths import chain
from reconciler.access.pathset import PathSet, order
from reconciler.access.reach import Touched, owner_of
from reconciler.access.table import ROOT, AccessTable


class Cell(NamedTuple):
    """In each of the tables all `principals` hold the same privileges on all `paths`."""

    principals: tuple[str, ...]
    paths: tuple[str, ...]

    def held(self, table: AccessTable, now: int = 0) -> Flags:
        """What they can use in one of the tables."""
        return held(table, self.principals[0], self.paths[0], now)


def held(table: AccessTable, principal: str, path: str, now: int = 0) -> Flags:
    """The privileges of a principal that can log in; nothing for any other."""
    return privileges(table, principal, path) if active(table, principal, now) else {}


def cells(
    tables: Sequence[AccessTable], touched: Touched, paths: PathSet, now: int = 0
) -> Iterator[Cell]:
    """Every pair of a touched principal and a path under its roots is in exactly one cell.

    Principals that can use nothing in any of the tables are left out.
    """
    alike: dict[tuple[frozenset[str], tuple[Hashable, ...]], list[str]] = {}
    for principal, roots in touched.items():
        signs = tuple(_sign(table, principal, now) for table in tables)
        if any(sign is not None for sign in signs):
            alike.setdefault((roots, signs), []).append(principal)
    expanded: dict[frozenset[str], frozenset[str]] = {}
    for (roots, _), principals in alike.items():
        if roots not in expanded:
            expanded[roots] = _with_members(tables, roots)
        for part in _parts(tables, principals[0], expanded[roots], paths):
            yield Cell(tuple(principals), part)


def _sign(table: AccessTable, principal: str, now: int) -> Hashable:
    """Equal for principals that hold the same everywhere; None for those that hold nothing."""
    index = index_of(table)
    if not active(table, principal, now):
        return None
    owner = owner_of(principal)
    if owner is not None and not table.tokens[principal].privsep:
        principal, owner = owner, None
    if principal == ROOT:
        return ROOT
    nodes = index.nodes(principal)
    if not nodes:
        return None
    if owner is None or owner == ROOT:
        return id(nodes)
    above = index.nodes(owner)
    return (id(nodes), id(above)) if above else None


def _with_members(tables: Sequence[AccessTable], roots: frozenset[str]) -> frozenset[str]:
    """Who holds a role on a pool also holds it on the pool's members."""
    found = set(roots)
    for table in tables:
        for pool, members in index_of(table).members.items():
            if _inside(pool, roots):
                found.update(members)
    return frozenset(found)


def _inside(path: str, roots: frozenset[str]) -> bool:
    return any(above in roots for above in chain(path))


def _parts(
    tables: Sequence[AccessTable], principal: str, roots: frozenset[str], paths: PathSet
) -> Iterator[tuple[str, ...]]:
    """The paths at and below the roots, split so that the principal's answers are alike in each."""
    cuts: set[str] = set()
    for table in tables:
        for identity in (principal, owner_of(principal)):
            if identity is not None:
                cuts.update(index_of(table).nodes(identity))
    through_pools = any(cut == "/" or cut.startswith("/pool") for cut in cuts)
    marks = roots | {cut for cut in cuts if _inside(cut, roots)}
    for part in _regions(sorted(marks, key=order), paths):
        if through_pools and len(part) > 1:
            yield from _by_pools(tables, part)
        else:
            yield tuple(part)


def _by_pools(tables: Sequence[AccessTable], paths: Iterable[str]) -> Iterator[tuple[str, ...]]:
    pools: list[Mapping[str, tuple[str, ...]]] = [index_of(table).pools_of for table in tables]
    alike: dict[tuple[tuple[str, ...], ...], list[str]] = {}
    for path in paths:
        alike.setdefault(tuple(of.get(path, ()) for of in pools), []).append(path)
    for part in alike.values():
        yield tuple(part)


class _Region:
    """A marked path's surroundings: what lies below it, but not below another mark."""

    __slots__ = ("cursor", "end", "paths")

    def __init__(self, cursor: int, end: int) -> None:
        self.cursor = cursor
        self.end = end
        self.paths: list[str] = []


def _regions(marks: Sequence[str], paths: PathSet) -> Iterator[list[str]]:
    """Each marked path by itself, and each of their surroundings; `marks` in path order.

    A mark stands alone because entries that do not propagate count on it and not below.
    """
    open_regions: list[_Region] = []
    for mark in marks:
        start, end = paths.span(mark)
        if start == end:
            continue
        while open_regions and open_regions[-1].end <= start:
            yield from _closed(open_regions.pop(), paths)
        if open_regions:
            around = open_regions[-1]
            around.paths += paths.paths[around.cursor : start]
            around.cursor = end
        alone = paths.paths[start] == mark
        if alone:
            yield [mark]
        open_regions.append(_Region(start + alone, end))
    while open_regions:
        yield from _closed(open_regions.pop(), paths)


def _closed(region: _Region, paths: PathSet) -> Iterator[list[str]]:
    found = region.paths + paths.paths[region.cursor : region.end]
    if found:
        yield found
