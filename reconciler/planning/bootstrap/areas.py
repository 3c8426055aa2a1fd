"""The same grants as `bootstrap` in few lines: one role on whole areas of the ACL tree."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from reconciler.access.review.privilege_catalog import Level, level
from reconciler.planning.bootstrap.least_privilege import (
    APPLY,
    PLAN,
    Granted,
    NeededGrant,
    granted_as,
    ways_to_root,
)

_TOP = "/"


def on_whole_areas(least: Granted) -> Granted:
    """One role with all that is needed, on `/access`, `/pool` and so on instead of on single paths;
    on `/` and all below where it only reads.

    Where that would open a way to root that the smallest set leaves closed, each area has a role of
    its own.
    """
    every = _all_of(least.grants)
    if level(every) <= Level.VIEW:
        return granted_as(least.principal, (NeededGrant(_TOP, every, propagate=True),), PLAN)
    areas = tuple(_areas(least.grants))
    one_role = tuple(grant._replace(privileges=every) for grant in areas)
    found = granted_as(least.principal, one_role, APPLY)
    if ways_to_root(found) and not ways_to_root(least):
        return granted_as(least.principal, areas, APPLY)
    return found


def _areas(grants: Iterable[NeededGrant]) -> Iterable[NeededGrant]:
    """All privileges of an area on its top and below; those on `/` as they are."""
    for area, inside in groupby(sorted(grants), key=lambda grant: _area(grant.path)):
        found = tuple(inside)
        spreads = area != _TOP or any(grant.propagate for grant in found)
        yield NeededGrant(area, _all_of(found), spreads)


def _all_of(grants: Iterable[NeededGrant]) -> tuple[str, ...]:
    return tuple(sorted({name for grant in grants for name in grant.privileges}))


def _area(path: str) -> str:
    return f"/{path[1:].partition('/')[0]}"
