"""Who holds what before and after a plan, cell by cell, and the grants that it adds and removes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from reconciler.access.graph import Edge, Node, NodeKind, graph
from reconciler.access.login import Login, login
from reconciler.access.review.privilege_catalog import Level, ResourceType
from reconciler.access.review.profiles import Holdings, Profile, holdings
from reconciler.access.table import AccessTable

MOST_NODES = 120
"""Nodes of a picture that a person can still read."""

_Place = tuple[str, str, str, str]
"""Kind and name of the source, kind and name of the target."""


class AccountRow(NamedTuple):
    """Accounts that hold the same before and after: numbers of profiles, and whether they can log
    in."""

    principals: tuple[str, ...]
    before: int
    after: int
    login_before: Login
    login_after: Login


class DrawnEdge(NamedTuple):
    """`mark`: `+` for a new edge, `-` for one that goes, `~` for one with other roles, ""."""

    edge: Edge
    mark: Literal["", "+", "-", "~"] = ""


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """`changed` and `same`: the rows of the matrix. `guests`: ACL path -> name. `whole`: whether
    accounts with the same access as before are in `same`.

    `drawn`: the grants and memberships that change, and those around them; `more`: how many are
    too many for a picture.
    """

    before: Holdings
    after: Holdings
    changed: tuple[AccountRow, ...]
    same: tuple[AccountRow, ...]
    guests: Mapping[str, str]
    drawn: tuple[DrawnEdge, ...] = ()
    more: int = 0
    whole: bool = True

    def profiles(self, row: AccountRow) -> tuple[Profile, Profile]:
        """What the accounts of a row hold before and after."""
        return self.before.profiles[row.before], self.after.profiles[row.after]


def before_after(
    before: AccessTable,
    after: AccessTable,
    guests: Mapping[str, str],
    now: int,
    only: Collection[str] | None = None,
) -> BeforeAfter:
    """Both tables without the placeholder members of empty groups; `now` in Unix seconds. `only`:
    the changes of these accounts alone.

    Who cannot log in is shown with what it would hold; who does not exist holds nothing.
    """
    held = holdings(before, only), holdings(after, only)
    groups: dict[tuple[int, int, Login, Login], list[str]] = {}
    for principal in sorted(held[0].of.keys() | held[1].of.keys()):
        logins = login(before, principal, now), login(after, principal, now)
        numbers = [
            0 if state is Login.ABSENT else one.of.get(principal, 0)
            for one, state in zip(held, logins, strict=True)
        ]
        if logins != (Login.ABSENT, Login.ABSENT):
            groups.setdefault((numbers[0], numbers[1], *logins), []).append(principal)
    rows = [AccountRow(tuple(names), *key) for key, names in groups.items()]
    changed = [row for row in rows if _changes(row, held)]
    same = [row for row in rows if only is None and not _changes(row, held)]
    changed.sort(key=lambda row: (-_highest(row, held), row.principals))
    drawn, more = _drawn(before, after)
    return BeforeAfter(*held, tuple(changed), tuple(same), guests, drawn, more, only is None)


def _changes(row: AccountRow, held: tuple[Holdings, Holdings]) -> bool:
    profiles = held[0].profiles[row.before], held[1].profiles[row.after]
    return profiles[0] != profiles[1] or row.login_before is not row.login_after


def _highest(row: AccountRow, held: tuple[Holdings, Holdings]) -> Level:
    """The highest level in a cell that changes."""
    before, after = held[0].profiles[row.before], held[1].profiles[row.after]
    levels = (
        one.level
        for sort in ResourceType
        if of_sort(before, sort) != of_sort(after, sort)
        for one in (*of_sort(before, sort), *of_sort(after, sort))
    )
    return max(levels, default=Level.NONE)


def of_sort(profile: Profile, sort: ResourceType) -> Profile:
    """What is held on places of one sort."""
    return tuple(one for one in profile if one.sort is sort)


def _drawn(before: AccessTable, after: AccessTable) -> tuple[tuple[DrawnEdge, ...], int]:
    """The edges that change, then the memberships of those whom they concern, while there is room;
    and how many changes there is no room for."""
    old, new = _edges(before), _edges(after)
    nodes = {_key(node): node for edge in (*old.values(), *new.values()) for node in edge[:2]}
    changed = {
        place: _marked(old.get(place), new.get(place))
        for place in sorted(old.keys() | new.keys())
        if _grant(old.get(place)) != _grant(new.get(place))
    }
    touched = {half for place in changed for half in (place[:2], place[2:])}
    around = {
        place: DrawnEdge(edge)
        for place, edge in sorted(new.items())
        if place not in changed
        and edge.target.kind is not NodeKind.PATH
        and not touched.isdisjoint((place[:2], place[2:]))
    }
    seen: set[tuple[str, str]] = set()
    drawn = []
    for place, one in (*changed.items(), *around.items()):
        both = {place[:2], place[2:]}
        if len(seen | both) <= MOST_NODES:
            seen |= both
            source, target = nodes[place[:2]], nodes[place[2:]]
            drawn.append(one._replace(edge=one.edge._replace(source=source, target=target)))
    return tuple(drawn), len(changed) - sum(bool(one.mark) for one in drawn)


def _edges(table: AccessTable) -> dict[_Place, Edge]:
    return {
        (*_key(edge.source), *_key(edge.target)): edge for edge in graph(table, "", (), ()).edges
    }


def _key(node: Node) -> tuple[str, str]:
    return str(node.kind), node.name


def _grant(edge: Edge | None) -> tuple[str, bool] | None:
    return None if edge is None else (edge.label, edge.dotted)


def _marked(old: Edge | None, new: Edge | None) -> DrawnEdge:
    if old is not None and new is not None:
        same = old.label == new.label
        label = f"{new.label} (propagation)" if same else f"{old.label} → {new.label}"
        return DrawnEdge(new._replace(label=label), "~")
    if new is not None:
        return DrawnEdge(new, "+")
    assert old is not None  # noqa: S101 - one of them is there
    return DrawnEdge(old, "-")
