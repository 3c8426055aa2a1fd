"""The access before and after a plan as a saved plan keeps it: of the accounts that it concerns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from reconciler.access.analysis.affected import affected_principals
from reconciler.access.delta import difference
from reconciler.access.review.before_after import BeforeAfter, before_after
from reconciler.access.review.profiles import POOL, Holdings
from reconciler.access.table import AccessTable

MOST = 500
"""Accounts whose access is kept."""


def to_keep(
    before: AccessTable, after: AccessTable, guests: Mapping[str, str], now: int
) -> BeforeAfter | None:
    """What a saved plan keeps; None where it concerns too many accounts. `now` in Unix seconds."""
    concerned = affected_principals(difference(before, after), before, after)
    if len(concerned) > MOST:
        return None
    found = before_after(before, after, guests, now, only=concerned.keys())
    named = frozenset(_places(found.before)) | frozenset(_places(found.after))
    return replace(
        found,
        before=_without_others(found.before, named),
        after=_without_others(found.after, named),
        guests={path: name for path, name in guests.items() if path in named},
    )


def to_json(kept: BeforeAfter) -> dict[str, Any]:
    """As an object that JSON can hold; named tuples become lists."""
    return {field.name: getattr(kept, field.name) for field in fields(kept)}


def from_json(data: object) -> BeforeAfter:
    """The reverse of `to_json`; raises ValueError for anything else."""
    from pydantic import TypeAdapter

    kept = TypeAdapter(BeforeAfter).validate_python(data)
    for row in (*kept.changed, *kept.same):
        if not (
            0 <= row.before < len(kept.before.profiles)
            and 0 <= row.after < len(kept.after.profiles)
        ):
            raise ValueError("there is no such profile")
    return kept


def _places(held: Holdings) -> Iterator[str]:
    return (place for profile in held.profiles for one in profile for place in one.places)


def _without_others(held: Holdings, named: frozenset[str]) -> Holdings:
    """Without the pools that no profile names, and without who holds which profile."""
    pools = {name: paths for name, paths in held.pools.items() if f"{POOL}{name}" in named}
    return held._replace(of={}, pools=pools)
