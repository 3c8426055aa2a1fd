"""Principals and paths that a delta can affect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from reconciler.access.contents import GROUP, ROOT, TOKEN, USER, split_token
from reconciler.access.delta import Delta
from reconciler.access.evaluate import index_of
from reconciler.access.table import AccessTable
from reconciler.pve.acl_paths import chain

Affected = Mapping[str, frozenset[str]]
"""Principal -> the paths at and below which its privileges may differ"""


class _Spot(NamedTuple):
    """Entries of a user, group or token, and the paths that they affect."""

    kind: str
    who: str
    path: str


def affected_principals(delta: Delta, *tables: AccessTable) -> Affected:
    """The principals that `delta` may affect, in text order; no other changes.

    `tables`: every table that will be compared, so at least the two ends of the delta.
    """
    found: dict[str, set[str]] = {}
    for spot in sorted(set(_spots(delta, tables))):
        for principal in _principals(spot, tables):
            found.setdefault(principal, set()).add(spot.path)
    return {who: frozenset(_outermost(found[who])) for who in sorted(found)}


def all_principals(*tables: AccessTable) -> Affected:
    """All users, with root@pam in any case, and tokens, everywhere."""
    whole = frozenset({"/"})
    names = {ROOT, *(name for table in tables for name in (*table.users, *table.tokens))}
    return dict.fromkeys(sorted(names), whole)


def dangling_users(table: AccessTable) -> tuple[str, ...]:
    """Users that groups or entries name and that do not exist, in text order.

    PVE keeps and evaluates what names them (user.cfg; /access/permissions), but no one can log in
    as one of them; a new user of that name holds it all at once.
    """
    named = {member for members in table.groups.values() for member in members}
    for kinds in table.acl.values():
        named.update(kinds.get(USER, ()))
    return tuple(sorted(named - table.users.keys() - {ROOT}))


def _spots(delta: Delta, tables: Sequence[AccessTable]) -> Iterator[_Spot]:
    for key in delta.entries:
        yield _Spot(key.kind, key.principal, key.path)
    for user in delta.users:
        yield _Spot(USER, user, "/")
    for token in delta.tokens:
        yield _Spot(TOKEN, token, "/")
    for table in tables:
        yield from _through_roles(delta, table)
        yield from _through_groups(delta, table)
        yield from _through_pools(delta, table)


def _through_roles(delta: Delta, table: AccessTable) -> Iterator[_Spot]:
    if not delta.roles:
        return
    for path, kinds in table.acl.items():
        for kind, holders in kinds.items():
            for who, roles in holders.items():
                if not roles.keys().isdisjoint(delta.roles):
                    yield _Spot(kind, who, path)


def _through_groups(delta: Delta, table: AccessTable) -> Iterator[_Spot]:
    for group, user in delta.members:
        for path in index_of(table).group_paths(group):
            yield _Spot(USER, user, path)


def _through_pools(delta: Delta, table: AccessTable) -> Iterator[_Spot]:
    for pool, item in delta.pooled:
        for place in chain(f"/pool/{pool}"):
            for kind, holders in table.acl.get(place, {}).items():
                for who in holders:
                    yield _Spot(kind, who, item)


def _principals(spot: _Spot, tables: Sequence[AccessTable]) -> Iterator[str]:
    """The members of a group, and the tokens of each user, which never exceed their user."""
    users = [spot.who] if spot.kind == USER else []
    if spot.kind == TOKEN:
        yield spot.who
    elif spot.kind == GROUP:
        users = sorted({user for table in tables for user in table.groups.get(spot.who, ())})
    for user in users:
        yield user
        for table in tables:
            yield from index_of(table).tokens_of.get(user, ())


def _outermost(paths: set[str]) -> Iterator[str]:
    """Without paths below another one."""
    for path in paths:
        if not any(above in paths for above in chain(path)[:-1]):
            yield path


def owner_of(principal: str) -> str | None:
    """The user of a token; None for a user."""
    split = split_token(principal)
    return split[0] if split else None
