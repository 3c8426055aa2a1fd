"""ACL paths sorted so that everything below a path is one slice."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from functools import cached_property


class PathIndex:
    """Paths in an order in which each comes directly before all paths below it."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = sorted(set(paths), key=order)
        self._keys = [order(path) for path in self.paths]
        self.position = {path: place for place, path in enumerate(self.paths)}

    @cached_property
    def ends(self) -> list[int]:
        """For each of `paths` where that what lies below it ends."""
        ends = [0] * len(self.paths)
        open_places: list[int] = []
        for place, key in enumerate(self._keys):
            while open_places and not _below(key, self._keys[open_places[-1]]):
                ends[open_places.pop()] = place
            open_places.append(place)
        for place in open_places:
            ends[place] = len(self.paths)
        return ends

    def __contains__(self, path: str) -> bool:
        return path in self.position

    def ordered(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Some of them in the order of the set, each once."""
        return tuple(sorted(set(paths), key=self.position.__getitem__))

    def span(self, path: str) -> tuple[int, int]:
        """The range of `path` and everything below it in `paths`; `path` itself may be missing."""
        key = order(path)
        if not key:
            return 0, len(self.paths)
        start = bisect_left(self._keys, key)
        # A path below starts with the key and U+0000, so U+0001 comes directly after all of them.
        return start, bisect_left(self._keys, key + "\x01", lo=start)

    def has_below(self, path: str) -> bool:
        """Whether any path lies below `path`."""
        start, end = self.span(path)
        return end - start > (path in self)

    def below(self, path: str) -> list[str]:
        """`path`, if it is in the set, and all that lie below it."""
        start, end = self.span(path)
        return self.paths[start:end]


def order(path: str) -> str:
    """A sort key; `/` comes first and no other character comes before the separator."""
    return path[1:].replace("/", "\0")


def _below(key: str, above: str) -> bool:
    return not above or key.startswith(above + "\0")


def parents(path: str) -> Iterable[str]:
    """`/vms/100` -> `/vms`, `/`: what lies above, innermost first."""
    while path != "/":
        path = path.rpartition("/")[0] or "/"
        yield path
