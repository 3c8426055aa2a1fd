"""Groups without members are judged as if they had one: a grant to an empty group is a grant to
whoever joins it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.access.contents import GROUP, Principal
from reconciler.access.login import Login, login
from reconciler.access.table import AccessTable

_PREFIX = "any member of "


def any_member(group: str) -> str:
    """Placeholder for the future members of a group; no user can have this name."""
    return f"{_PREFIX}{group}"


def stands_for(principal: str) -> str:
    """The group whose members `principal` represents; empty for a user or token."""
    return principal.removeprefix(_PREFIX) if principal.startswith(_PREFIX) else ""


def with_any_members(tables: Sequence[AccessTable], now: int = 0) -> tuple[AccessTable, ...]:
    """The same tables, with a placeholder member in each group that, in one of them, has no member
    who can log in.

    It is in that group in all of them, so that a first real member changes nothing for it.
    """
    empty = sorted({group for table in tables for group in _without_members(table, now)})
    return tuple(_filled(table, empty) for table in tables) if empty else tuple(tables)


def with_member(table: AccessTable, group: str) -> AccessTable:
    """The table with a placeholder member of that group, without any other grants."""
    return _filled(table, [group])


def granted_groups(table: AccessTable) -> frozenset[str]:
    """The groups that some entry names."""
    return frozenset(
        group for kinds in table.acl.values() for group in kinds.get(GROUP, ()) if group
    )


def _without_members(table: AccessTable, now: int) -> Iterable[str]:
    for group, members in table.groups.items():
        if not any(login(table, member, now) is Login.ACTIVE for member in members):
            yield group


def _filled(table: AccessTable, groups: Iterable[str]) -> AccessTable:
    filled = table.copy()
    for group in groups:
        who = any_member(group)
        filled.users[who] = Principal()
        if group in filled.groups:
            filled.add_members(who, (group,))
    return filled
