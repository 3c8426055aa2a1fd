"""Differences of access as data: gained and lost privileges by principal and path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from reconciler.access.analysis.equivalence import EquivalenceClass
from reconciler.access.path_index import PathIndex


class AccessEffect(NamedTuple):
    """All `principals` gain and lose the same privileges on all `paths`; all in order."""

    principals: tuple[str, ...]
    paths: tuple[str, ...]
    gained: tuple[str, ...]
    lost: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {key: list(value) for key, value in self._asdict().items()}


class AccessDifference(NamedTuple):
    """Gained and lost privileges of one equivalence class."""

    cell: EquivalenceClass
    gained: tuple[str, ...]
    lost: tuple[str, ...]


def names(privileges: Iterable[str]) -> tuple[str, ...]:
    """A set of privileges in text order."""
    return tuple(sorted(privileges))


def compared(cell: EquivalenceClass) -> AccessDifference:
    """From the first of two tables to the second."""
    before, after = cell.held
    return AccessDifference(
        cell, names(after.keys() - before.keys()), names(before.keys() - after.keys())
    )


def collect(found: Iterable[AccessDifference], paths: PathIndex) -> tuple[AccessEffect, ...]:
    """Merge classes into the fewest effects; each pair of principal and path is in at most one.

    `found`: only classes with a difference.
    """
    places: dict[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for cell, gained, lost in found:
        places.setdefault((cell.principals, gained, lost), []).extend(cell.paths)
    people: dict[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for (principals, gained, lost), where in places.items():
        where.sort(key=paths.position.__getitem__)
        people.setdefault((tuple(where), gained, lost), []).extend(principals)
    return tuple(
        sorted(
            AccessEffect(tuple(sorted(who)), where, gained, lost)
            for (where, gained, lost), who in people.items()
        )
    )


def of_principal(
    effects: Iterable[AccessEffect], principal: str
) -> Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Path -> (gained, lost) for one principal."""
    return {
        path: (effect.gained, effect.lost)
        for effect in effects
        if principal in effect.principals
        for path in effect.paths
    }
