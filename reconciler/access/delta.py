"""The difference between two tables as a value that can be applied cheaply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from reconciler.access.contents import PoolMembers, Principal
from reconciler.access.table import AccessTable
from reconciler.model.acl_entry import AclEntry

V = TypeVar("V")
K = TypeVar("K")


class Member(NamedTuple):
    """`item` is a user of the group `of`, or the ACL path of a direct member of the pool `of`."""

    of: str
    item: str


Sides = tuple[V | None, V | None]
"""(before, after); None means absent"""


@dataclass(frozen=True, slots=True)
class Delta:
    """The differences only. The value of an entry is its propagate flag, that of a member True.

    Groups and pools consist of their members only: an empty one equals an absent one.
    """

    roles: Mapping[str, Sides[frozenset[str]]] = field(default_factory=dict)
    users: Mapping[str, Sides[Principal]] = field(default_factory=dict)
    tokens: Mapping[str, Sides[Principal]] = field(default_factory=dict)
    entries: Mapping[AclEntry, Sides[bool]] = field(default_factory=dict)
    members: Mapping[Member, Sides[bool]] = field(default_factory=dict)
    pooled: Mapping[Member, Sides[bool]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any((self.roles, self.users, self.tokens, self.entries, self.members, self.pooled))

    def inverse(self) -> Delta:
        """The reverse delta."""
        return Delta(
            _swapped(self.roles),
            _swapped(self.users),
            _swapped(self.tokens),
            _swapped(self.entries),
            _swapped(self.members),
            _swapped(self.pooled),
        )


def difference(before: AccessTable, after: AccessTable) -> Delta:
    """The delta that turns `before` into `after`."""
    return Delta(
        _compared(before.roles, after.roles),
        _compared(before.users, after.users),
        _compared(before.tokens, after.tokens),
        _entries(before, after),
        _members(before.groups, after.groups),
        _pooled(before, after),
    )


def apply_delta(table: AccessTable, delta: Delta) -> None:
    """Change `table` in place, and its index as far as the delta reaches.

    `apply(table, delta.inverse())` undoes it.
    """
    _apply_entries(table, delta.entries)
    for member, (_, inside) in delta.members.items():
        users = table.groups.setdefault(member.of, set())
        _set(users, member.item, inside=bool(inside))
        if table.index is not None:
            table.index.refresh_groups(member.item)
    _put(table.users, delta.users)
    _put(table.tokens, delta.tokens)
    if delta.tokens and table.index is not None:
        table.index.refresh_tokens()
    _apply_roles(table, delta.roles)
    _apply_pools(table, delta.pooled)


def _apply_entries(table: AccessTable, entries: Mapping[AclEntry, Sides[bool]]) -> None:
    for (path, kind, principal, role), (_, propagate) in entries.items():
        if propagate is None:
            _remove_entry(table, AclEntry(path, kind, principal, role))
        else:
            kinds = table.acl.setdefault(path, {})
            kinds.setdefault(kind, {}).setdefault(principal, {})[role] = propagate
    if table.index is not None:
        for path, kind, principal in dict.fromkeys(key[:3] for key in entries):
            table.index.refresh_entries(path, kind, principal)


def _remove_entry(table: AccessTable, key: AclEntry) -> None:
    """Remove empty levels together with their last entry."""
    kinds = table.acl.get(key.path, {})
    holders = kinds.get(key.kind, {})
    roles = holders.get(key.principal, {})
    roles.pop(key.role, None)
    if not roles:
        holders.pop(key.principal, None)
    if not holders:
        kinds.pop(key.kind, None)
    if not kinds:
        table.acl.pop(key.path, None)


def _apply_roles(table: AccessTable, roles: Mapping[str, Sides[frozenset[str]]]) -> None:
    """Entries of a role apply only while it exists."""
    known = [role for role in roles if role in table.roles]
    _put(table.roles, roles)
    if table.index is None:
        return
    for role in roles:
        table.index.refresh_role(role)
    appeared = {role for role in roles if (role in table.roles) != (role in known)}
    if appeared:
        for key in entry_keys(table):
            if key.role in appeared:
                table.index.refresh_entries(key.path, key.kind, key.principal)


def _apply_pools(table: AccessTable, pooled: Mapping[Member, Sides[bool]]) -> None:
    for pool in dict.fromkeys(member.of for member in pooled):
        known = table.pools.get(pool, PoolMembers())
        guests, storages = set(known.guests), set(known.storages)
        for member, (_, inside) in pooled.items():
            if member.of != pool:
                continue
            kind, _, name = member.item[1:].partition("/")
            if kind == "vms":
                _set(guests, int(name), inside=bool(inside))
            else:
                _set(storages, name, inside=bool(inside))
        table.pools[pool] = PoolMembers(frozenset(guests), frozenset(storages))
        if table.index is not None:
            table.index.refresh_pool(pool)


def entry_keys(table: AccessTable) -> Iterator[AclEntry]:
    """All entries of a table."""
    for path, kinds in table.acl.items():
        for kind, holders in kinds.items():
            for principal, roles in holders.items():
                for role in roles:
                    yield AclEntry(path, kind, principal, role)


def _entries(before: AccessTable, after: AccessTable) -> dict[AclEntry, Sides[bool]]:
    """Level by level, so that equal parts cost one comparison."""
    found: dict[AclEntry, Sides[bool]] = {}
    for path in _unequal(before.acl, after.acl):
        old, new = before.acl.get(path, {}), after.acl.get(path, {})
        for kind in _unequal(old, new):
            old_holders, new_holders = old.get(kind, {}), new.get(kind, {})
            for who in _unequal(old_holders, new_holders):
                roles = _compared(old_holders.get(who, {}), new_holders.get(who, {}))
                for role, sides in roles.items():
                    found[AclEntry(path, kind, who, role)] = sides
    return found


def _members(
    before: Mapping[str, set[str]], after: Mapping[str, set[str]]
) -> dict[Member, Sides[bool]]:
    found: dict[Member, Sides[bool]] = {}
    for of in _unequal(before, after):
        old, new = before.get(of, set()), after.get(of, set())
        for item in sorted(old ^ new):
            found[Member(of, item)] = (None, True) if item in new else (True, None)
    return found


def _pooled(before: AccessTable, after: AccessTable) -> dict[Member, Sides[bool]]:
    changed = _unequal(before.pools, after.pools)
    return _members(
        {pool: _paths(before.pools.get(pool)) for pool in changed},
        {pool: _paths(after.pools.get(pool)) for pool in changed},
    )


def _paths(members: PoolMembers | None) -> set[str]:
    if members is None:
        return set()
    return {f"/vms/{guest}" for guest in members.guests} | {
        f"/storage/{storage}" for storage in members.storages
    }


def _unequal(before: Mapping[K, object], after: Mapping[K, object]) -> list[K]:
    """The keys, in text order, whose values differ or that only one side has."""
    keys = [key for key, value in before.items() if after.get(key) != value]
    keys += [key for key in after if key not in before]
    return sorted(keys, key=str)


def _compared(before: Mapping[K, V], after: Mapping[K, V]) -> dict[K, Sides[V]]:
    return {key: (before.get(key), after.get(key)) for key in _unequal(before, after)}


def _swapped(part: Mapping[K, Sides[V]]) -> dict[K, Sides[V]]:
    return {key: (after, before) for key, (before, after) in part.items()}


def _put(into: dict[K, V], part: Mapping[K, Sides[V]]) -> None:
    for key, (_, value) in part.items():
        if value is None:
            into.pop(key, None)
        else:
            into[key] = value


def _set(items: set[V], item: V, *, inside: bool) -> None:
    if inside:
        items.add(item)
    else:
        items.discard(item)
