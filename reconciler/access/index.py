"""The contents of an AccessTable indexed by principal, so that a query costs a few lookups.

PVE walks from `/` to the asked path and at each node takes the first nonempty selection of: the
token's entries, the user's entries, those of all its groups; at inner nodes only entries that
propagate count, and a selection replaces what was inherited. Which selection a node offers to one
principal does not depend on the asked path but for "inner or last", so it is made once: a `Node`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import NamedTuple

from reconciler.access.contents import GROUP, AccessContents, Principal
from reconciler.access.path_index import PathIndex, parents

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
    """A set of roles with their privileges; one object per distinct set.

    `privileges` is replaced when the privileges of one of the roles change.
    """

    __slots__ = ("privileges", "roles")

    def __init__(self, roles: Flags, privileges: Flags) -> None:
        self.roles = roles
        self.privileges = privileges


class PathNode(NamedTuple):
    """What one path offers to one principal: `last` when it is the asked path, else `inherited`."""

    last: RoleSet | None
    inherited: RoleSet | None


Nodes = Mapping[str, PathNode]
"""path -> Node of one principal"""

_NOTHING: Nodes = {}


class Pooling:
    """Which paths are direct members of which pools; another object after each change."""

    def __init__(self, members: Mapping[str, tuple[str, ...]]) -> None:
        pools_of: dict[str, tuple[str, ...]] = {}
        for pool, paths in members.items():
            for path in paths:
                pools_of[path] = (*pools_of.get(path, ()), pool)
        self.members = members
        self.pools_of: Mapping[str, tuple[str, ...]] = pools_of

    @cached_property
    def alike(self) -> Mapping[tuple[str, tuple[str, ...]], list[str]]:
        """`/vms` or `/storage`, and pools -> the paths below that are in exactly these pools."""
        found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for path, pools in self.pools_of.items():
            found.setdefault((path.rpartition("/")[0], pools), []).append(path)
        return found


class Index:
    """Everything here is derived from one table and made when it is first needed.

    After changing the table, call the matching `refresh_...` method.
    """

    def __init__(self, table: AccessContents) -> None:
        self._table = table
        self.everything_granted: Flags = dict.fromkeys(sorted(table.release.privileges), True)
        """What root@pam holds everywhere."""
        self._sets: dict[tuple[tuple[str, bool], ...], RoleSet] = {}
        self._sets_with: dict[str, list[tuple[tuple[str, bool], ...]]] = {}
        self.with_pools: dict[tuple[RoleSet | None, tuple[RoleSet, ...]], RoleSet] = {}
        """A path's own roles and those on its pools -> what they make together."""
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
        self._set_pools({f"/pool/{pool}": _members(table, pool) for pool in sorted(table.pools)})

    def _add_path(self, table: AccessContents, path: str) -> None:
        """Entries of roles that do not exist are dropped, as PVE's parser drops them."""
        existing = table.roles
        for kind, holders in table.acl[path].items():
            into = self._by_group if kind == GROUP else self._own
            for principal, roles in holders.items():
                known = {role: flag for role, flag in roles.items() if role in existing}
                if known:
                    into.setdefault(principal, {})[path] = known

    def refresh_entries(self, path: str, kind: str, principal: str) -> None:
        """The entries of one principal at one path have changed."""
        into = self._by_group if kind == GROUP else self._own
        roles = self._table.acl.get(path, {}).get(kind, {}).get(principal, {})
        known = {role: flag for role, flag in roles.items() if role in self._table.roles}
        if known:
            into.setdefault(principal, {})[path] = known
        elif principal in into:
            into[principal].pop(path, None)
        if kind == GROUP:
            for groups in [groups for groups in self._merged if principal in groups]:
                del self._merged[groups]
            for user in sorted(self._table.groups.get(principal, ())):
                self._nodes.pop(user, None)
        else:
            self._nodes.pop(principal, None)
        self._forget_listing()

    def refresh_groups(self, user: str) -> None:
        """The memberships of `user` have changed."""
        groups = tuple(sorted(g for g, members in self._table.groups.items() if user in members))
        self.groups_of[user] = groups
        self._nodes.pop(user, None)

    def refresh_role(self, role: str) -> None:
        """The privileges of a role have changed, but not whether it exists."""
        for key in self._sets_with.get(role, ()):
            self._sets[key].privileges = self._granted(key)

    def refresh_tokens(self) -> None:
        """Tokens were added or removed."""
        self.__dict__.pop("tokens_of", None)

    def refresh_pool(self, pool: str) -> None:
        """The direct members of a pool have changed."""
        members = {**self.members, f"/pool/{pool}": _members(self._table, pool)}
        self._set_pools(dict(sorted(members.items())))
        self._forget_listing()

    def _set_pools(self, members: Mapping[str, tuple[str, ...]]) -> None:
        self.pooling = Pooling(members)
        self.members = self.pooling.members
        self.pools_of = self.pooling.pools_of

    def _forget_listing(self) -> None:
        for name in ("listed", "everything"):
            self.__dict__.pop(name, None)

    @cached_property
    def listed(self) -> frozenset[str]:
        """The paths that PVE lists: well-known ones, nodes of the ACL tree, members of pools."""
        paths = {*ALWAYS, *self.pools_of}
        for entries in (*self._own.values(), *self._by_group.values()):
            for path in entries:
                if path not in paths:
                    paths.update((path, *parents(path)))
        return frozenset(paths)

    @cached_property
    def everything(self) -> PathIndex:
        """All listed paths, and the pools among whose members some of them may be."""
        return PathIndex((*self.listed, *self.members))

    @cached_property
    def tokens_of(self) -> Mapping[str, tuple[str, ...]]:
        """User -> full ids of its tokens."""
        owned: dict[str, list[str]] = {}
        for token in sorted(self.tokens):
            owned.setdefault(token.rpartition("!")[0], []).append(token)
        return {user: tuple(tokens) for user, tokens in owned.items()}

    @property
    def unlisted(self) -> tuple[str, ...]:
        """Pools that PVE does not list as paths."""
        return tuple(pool for pool in self.members if pool not in self.listed)

    def group_paths(self, group: str) -> Iterable[str]:
        """The paths that have entries for a group, in no particular order."""
        return self._by_group.get(group, {})

    def role_set(self, roles: Flags) -> RoleSet:
        """The shared object for these roles. NoAccess overrides all others."""
        if NO_ACCESS in roles:
            roles = {NO_ACCESS: roles[NO_ACCESS]}
        key = tuple(roles.items())
        if len(key) > 1:
            key = tuple(sorted(key))
        known = self._sets.get(key)
        if known is None:
            known = self._sets[key] = RoleSet(dict(key), self._granted(key))
            for role in roles:
                self._sets_with.setdefault(role, []).append(key)
        return known

    def _granted(self, roles: tuple[tuple[str, bool], ...]) -> Flags:
        privileges: dict[str, bool] = {}
        for role, propagate in roles:
            for privilege in sorted(self._table.roles.get(role, ())):
                privileges[privilege] = privileges.get(privilege, False) or propagate
        return privileges

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
        """Own entries override those of groups at the same node, inner and last separately."""
        nodes = {}
        for path, roles in own.items():
            node, below = self._node(roles), groups.get(path)
            if node.inherited is None and below is not None:
                node = PathNode(node.last, below.inherited)
            nodes[path] = node
        return nodes

    def _groups_nodes(self, groups: tuple[str, ...]) -> Nodes:
        """A role that two groups have at one path propagates if either entry does."""
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

    def _node(self, roles: Flags) -> PathNode:
        here = self.role_set(roles)
        if roles and all(roles.values()):
            return PathNode(here, here)
        inherited = {role: True for role, propagate in roles.items() if propagate}
        return PathNode(here, self.role_set(inherited) if inherited else None)

    def spread(self, principal: str) -> dict[str, RoleSet]:
        """The roles on all of `everything` where there are any, without those from pools."""
        nodes = self.nodes(principal)
        found: dict[str, RoleSet] = {}
        for path in sorted(nodes, key=self.everything.position.__getitem__):
            node = nodes[path]
            if node.inherited is not None:
                found.update(dict.fromkeys(self.everything.below(path), node.inherited))
            if node.last is not None:
                found[path] = node.last
        return found


def _members(table: AccessContents, pool: str) -> tuple[str, ...]:
    """The ACL paths of a pool's direct members."""
    found = table.pools.get(pool)
    if found is None:
        return ()
    guests = (f"/vms/{guest}" for guest in sorted(found.guests))
    storages = (f"/storage/{storage}" for storage in sorted(found.storages))
    return (*guests, *storages)
