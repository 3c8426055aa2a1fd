"""An AccessTable arranged by principal, so that a question costs a few lookups.

PVE walks from `/` to the asked path and at each node takes the first nonempty selection of: the
token's entries, the user's entries, those of all its groups; at inner nodes only entries that
propagate count, and a selection replaces what was inherited. Which selection a node offers to one
principal does not depend on the asked path but for "inner or last", so it is made once: a `Node`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from reconciler.access.paths import segments
from reconciler.access.table import GROUP, TOKEN, USER, AccessTable, Principal

NO_ACCESS = "NoAccess"

ALWAYS = (
    "/",
    "/access",
    "/access/groups",
    "/nodes",
    "/pool",
    "/sdn",
    "/storage",
    "/vms",
)
"""Paths that PVE lists whether or not an entry names them."""

Flags = Mapping[str, bool]
"""role or privilege -> whether it propagates"""


class RoleSet:
    """A set of roles with what they grant; one object per distinct set, never changed."""

    __slots__ = ("privileges", "roles")

    def __init__(self, roles: Flags, privileges: Flags) -> None:
        self.roles = roles
        self.privileges = privileges


class Node(NamedTuple):
    """What one path offers to one principal: `last` when it is the asked path, else `inherited`."""

    last: RoleSet | None
    inherited: RoleSet | None


Nodes = Mapping[str, Node]
"""path -> Node of one principal"""

_NOTHING: Nodes = {}


class Index:
    """Everything here is derived from one table and made when it is first needed."""

    def __init__(self, table: AccessTable) -> None:
        self._privileges = table.roles
        self._sets: dict[tuple[tuple[str, bool], ...], RoleSet] = {}
        self._own: dict[str, dict[str, dict[str, bool]]] = {}
        self._by_group: dict[str, dict[str, dict[str, bool]]] = {}
        self._merged: dict[tuple[str, ...], Nodes] = {}
        self._nodes: dict[str, Nodes] = {}
        self.tokens: Mapping[str, Principal] = table.tokens
        self.groups_of: dict[str, tuple[str, ...]] = {}
        for path in table.acl:
            self._add_path(table, path)
        for group in sorted(table.groups):
            for user in sorted(table.groups[group]):
                self.groups_of[user] = (*self.groups_of.get(user, ()), group)
        self.members = {f"/pool/{pool}": _members(table, pool) for pool in sorted(table.pools)}
        self.pools_of: dict[str, tuple[str, ...]] = {}
        for pool, members in self.members.items():
            for path in members:
                self.pools_of[path] = (*self.pools_of.get(path, ()), pool)
        self.listed = self._listed()
        self.unlisted = tuple(pool for pool in self.members if pool not in self.listed)
        self.paths = sorted((*self.listed, *self.unlisted), key=segments)
        self._keys = [segments(path) for path in self.paths]
        self._position = {path: place for place, path in enumerate(self.paths)}

    def _add_path(self, table: AccessTable, path: str) -> None:
        """Entries of roles that do not exist are dropped, as PVE's parser drops them."""
        kinds = table.acl[path]
        for kind, into in ((USER, self._own), (TOKEN, self._own), (GROUP, self._by_group)):
            for principal, roles in kinds.get(kind, {}).items():
                known = {role: flag for role, flag in roles.items() if role in table.roles}
                if known:
                    into.setdefault(principal, {})[path] = known

    def _listed(self) -> set[str]:
        paths = set(ALWAYS) | set(self.pools_of)
        for entries in (*self._own.values(), *self._by_group.values()):
            for path in entries:
                node = path
                while node and node not in paths:
                    paths.add(node)
                    node = node.rpartition("/")[0]
        return paths

    def role_set(self, roles: Flags) -> RoleSet:
        """The one object for these roles. NoAccess among them takes all others away."""
        if NO_ACCESS in roles:
            roles = {NO_ACCESS: roles[NO_ACCESS]}
        key = tuple(sorted(roles.items()))
        known = self._sets.get(key)
        if known is None:
            privileges: dict[str, bool] = {}
            for role, propagate in key:
                for privilege in sorted(self._privileges.get(role, ())):
                    privileges[privilege] = privileges.get(privilege, False) or propagate
            known = self._sets[key] = RoleSet(dict(key), privileges)
        return known

    def nodes(self, principal: str) -> Nodes:
        """The paths that have entries for the principal itself or, for a user, its groups."""
        known = self._nodes.get(principal)
        if known is None:
            known = self._groups_nodes(self.groups_of.get(principal, ()))
            own = self._own.get(principal)
            if own:
                known = {**known, **self._over(own, known)}
            self._nodes[principal] = known
        return known

    def _over(self, own: Mapping[str, Flags], groups: Nodes) -> Nodes:
        """Own entries beat those of groups at the same node, inner and last each by itself."""
        nodes = {}
        for path, roles in own.items():
            node, below = self._node(roles), groups.get(path)
            if node.inherited is None and below is not None:
                node = Node(node.last, below.inherited)
            nodes[path] = node
        return nodes

    def _groups_nodes(self, groups: tuple[str, ...]) -> Nodes:
        """A role that two groups have at one path propagates when either of them says so."""
        if not groups:
            return _NOTHING
        known = self._merged.get(groups)
        if known is None:
            union: dict[str, dict[str, bool]] = {}
            for group in groups:
                for path, roles in self._by_group.get(group, {}).items():
                    at = union.setdefault(path, {})
                    for role, propagate in roles.items():
                        at[role] = at.get(role, False) or propagate
            known = {path: self._node(roles) for path, roles in union.items()}
            self._merged[groups] = known
        return known

    def _node(self, roles: Flags) -> Node:
        inherited = {role: True for role, propagate in roles.items() if propagate}
        return Node(self.role_set(roles), self.role_set(inherited) if inherited else None)

    def spread(self, principal: str) -> dict[str, RoleSet]:
        """The roles on every path of `paths` where there are any, without those from pools."""
        nodes = self.nodes(principal)
        found: dict[str, RoleSet] = {}
        for path in sorted(nodes, key=self._position.__getitem__):
            node = nodes[path]
            if node.inherited is not None:
                found.update(dict.fromkeys(self._below(path), node.inherited))
            if node.last is not None:
                found[path] = node.last
        return found

    def _below(self, path: str) -> Iterable[str]:
        start = self._position[path]
        if path == "/":
            return self.paths
        *parents, name = self._keys[start]
        # The least possible segment after `name`: its text followed by the lowest character.
        return self.paths[start : bisect_left(self._keys, (*parents, name + "\0"), lo=start)]


def _members(table: AccessTable, pool: str) -> tuple[str, ...]:
    """The ACL paths of a pool's direct members."""
    guests = (f"/vms/{guest}" for guest in sorted(table.pools[pool].guests))
    storages = (f"/storage/{storage}" for storage in sorted(table.pools[pool].storages))
    return (*guests, *storages)
