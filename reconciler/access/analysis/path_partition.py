"""Partition paths into classes that are equivalent for one principal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

from reconciler.access.evaluate import index_of
from reconciler.access.index import Pooling
from reconciler.access.path_index import PathIndex, order
from reconciler.access.table import AccessTable
from reconciler.pve.acl_paths import chain

_PARENTS = ("/vms", "/storage")
"""Parents of all pool members."""

_Pools = tuple[tuple[str, ...], ...]
"""The pools of a path, in one table after the other"""


class _Block(NamedTuple):
    """Paths below `parent` that are members of the same pools in each of the tables."""

    parent: str
    pools: _Pools
    paths: list[str]


class _Roots(NamedTuple):
    """Paths to evaluate: `paths` and everything below, and the members of `pools` below them."""

    paths: frozenset[str]
    pools: frozenset[str]

    def cover(self, path: str) -> bool:
        return not self.paths.isdisjoint(chain(path))


class _Layout:
    """Paths and the pools of each in several tables; reusable for many evaluations."""

    def __init__(self, paths: PathIndex, poolings: tuple[Pooling, ...]) -> None:
        self.paths = paths
        self.pools_of = tuple(pooling.pools_of for pooling in poolings)
        self.pools = sorted({pool for pooling in poolings for pool in pooling.members})
        self._roots: dict[frozenset[str], _Roots] = {}
        self._divided: dict[tuple[str, frozenset[str], _Roots], list[dict[str, None]]] = {}

    def roots(self, paths: frozenset[str]) -> _Roots:
        known = self._roots.get(paths)
        if known is None:
            pools = (pool for pool in self.pools if not paths.isdisjoint(chain(pool)))
            known = self._roots[paths] = _Roots(paths, frozenset(pools))
        return known

    def divided(self, parent: str, special: frozenset[str], where: _Roots) -> list[dict[str, None]]:
        """Members of pools below `parent`, those together that are alike.

        Pools other than `special` ones have no entries of their own, so only whether a path is in
        any of them counts. What they inherit from above comes beside what a special pool gives.
        """
        known = self._divided.get((parent, special, where))
        if known is None:
            known = self._divide(parent, special, where)
            self._divided[parent, special, where] = known
        return known

    def _divide(self, parent: str, special: frozenset[str], where: _Roots) -> list[dict[str, None]]:
        everything = where.cover(parent)
        alike: dict[tuple[object, ...], dict[str, None]] = {}
        for block in self._blocks:
            if block.parent != parent:
                continue
            if everything or any(not where.pools.isdisjoint(pools) for pools in block.pools):
                key = tuple(
                    (
                        any(pool not in special for pool in pools),
                        tuple(pool for pool in pools if pool in special),
                    )
                    for pools in block.pools
                )
                alike.setdefault(key, {}).update(dict.fromkeys(block.paths))
        return list(alike.values())

    @cached_property
    def plain(self) -> PathIndex:
        """The paths that are in no pool of any of the tables."""
        members = {path for block in self._blocks for path in block.paths}
        return PathIndex(path for path in self.paths.paths if path not in members)

    @cached_property
    def _blocks(self) -> list[_Block]:
        found: dict[tuple[str, _Pools], list[str]] = {}
        for parent in _PARENTS:
            for path in self.paths.below(parent):
                pools = tuple(of.get(path, ()) for of in self.pools_of)
                if any(pools):
                    found.setdefault((parent, pools), []).append(path)
        return [_Block(parent, pools, paths) for (parent, pools), paths in found.items()]


@lru_cache(maxsize=4)
def _layout(paths: PathIndex, poolings: tuple[Pooling, ...]) -> _Layout:
    return _Layout(paths, poolings)


class PathPartition:
    """The paths evaluated in several tables."""

    def __init__(self, tables: Sequence[AccessTable], paths: PathIndex) -> None:
        self._indexes = [index_of(table) for table in tables]
        self._layout = _layout(paths, tuple(index.pooling for index in self._indexes))

    def parts(self, identities: Sequence[str], roots: frozenset[str]) -> Iterator[Sequence[str]]:
        """The paths that a change at the roots can reach, each once.

        These are those at and below the roots, and the members of pools there. All that the
        `identities` hold is alike in each part. A path with entries of its own stands alone, since
        entries that do not propagate count on it and not below.
        """
        paths, where = self._layout.paths, self._layout.roots(roots)
        cuts = {
            cut
            for index in self._indexes
            for identity in identities
            for cut in index.nodes(identity)
        }
        marks = roots | {cut for cut in cuts if where.cover(cut) or self._reached(cut, where)}
        in_order = sorted(marks, key=order)
        for mark in in_order:
            if mark in paths:
                yield (mark,)
        if any(paths.has_below(root) for root in roots):
            yield from _around(in_order, self._layout.plain)
        special = frozenset(
            pool for cut in cuts if cut.startswith("/pool/") for pool in self._under(cut)
        )
        for parent in _PARENTS:
            if where.pools or where.cover(parent):
                yield from self._members(parent, special, where, marks)

    def _reached(self, path: str, where: _Roots) -> bool:
        """Whether `path` is a member of one of the pools in any of the tables."""
        return any(not where.pools.isdisjoint(of.get(path, ())) for of in self._layout.pools_of)

    def _under(self, cut: str) -> list[str]:
        return [pool for pool in self._layout.pools if pool == cut or pool.startswith(f"{cut}/")]

    def _members(
        self, parent: str, special: frozenset[str], where: _Roots, marks: frozenset[str]
    ) -> Iterator[Sequence[str]]:
        for found in self._layout.divided(parent, special, where):
            alone = any(mark in found for mark in marks)
            part = [path for path in found if path not in marks] if alone else list(found)
            if part:
                yield part


def _around(marks: Sequence[str], paths: PathIndex) -> Iterator[Sequence[str]]:
    """For each mark the paths below it, but not below another mark; `marks` in path order."""
    open_marks: list[_Around] = []
    for mark in marks:
        start, end = paths.span(mark)
        if start == end:
            continue
        while open_marks and open_marks[-1].end <= start:
            yield from open_marks.pop().close(paths)
        if open_marks:
            outer = open_marks[-1]
            outer.found += paths.paths[outer.cursor : start]
            outer.cursor = end
        open_marks.append(_Around(start + (paths.paths[start] == mark), end))
    while open_marks:
        yield from open_marks.pop().close(paths)


class _Around:
    """A mark whose paths are being collected, up to `cursor`."""

    __slots__ = ("cursor", "end", "found")

    def __init__(self, cursor: int, end: int) -> None:
        self.cursor = cursor
        self.end = end
        self.found: list[str] = []

    def close(self, paths: PathIndex) -> Iterator[Sequence[str]]:
        found = self.found + paths.paths[self.cursor : self.end]
        if found:
            yield found
