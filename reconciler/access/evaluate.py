"""Effective privileges, exactly as Proxmox VE 9 computes them.

PVE source: `roles` of PVE::AccessControl; `permissions`, `get_effective_permissions` of
PVE::RPCEnvironment. PVE leaves one case undefined: when two groups of a user grant the same role on
the asked path with different propagate flags, "propagates" wins here; the set of privileges is the
same either way. The mappings that these functions return are shared: do not change them.
"""

from __future__ import annotations

from reconciler.access.contents import ROOT, split_token
from reconciler.access.index import NO_ACCESS, Flags, Index, RoleSet
from reconciler.access.table import AccessTable
from reconciler.pve.acl_paths import chain

_NOTHING: Flags = {}


def index_of(table: AccessTable) -> Index:
    """The table's index, built once."""
    if table.index is None:
        table.index = Index(table)
    return table.index


def roles(table: AccessTable, principal: str, path: str) -> Flags:
    """The roles that ACL entries grant on `path` -> propagate flag; without pools.

    A token with privilege separation: by its own entries only. Unknown tokens have none.
    """
    index = index_of(table)
    identity = _identity(index, principal)
    if identity is None:
        return _NOTHING
    if identity == ROOT:
        return {"Administrator": True}
    found = _at(index, identity, path)
    return found.roles if found is not None else _NOTHING


def privileges(table: AccessTable, principal: str, path: str) -> Flags:
    """The privileges on the normalised `path` -> whether they propagate.

    Expired and disabled principals are not excluded: they cannot log in, but the answer of
    /access/permissions does not look at that.
    """
    index = index_of(table)
    identity = _identity(index, principal)
    if identity is None:
        return _NOTHING
    if identity == ROOT:
        return index.everything_granted
    own = own_privileges(table, identity, path)
    split = split_token(identity)
    if split is None or split[0] == ROOT:
        return own
    return _both(own_privileges(table, split[0], path), own)


def own_privileges(table: AccessTable, identity: str, path: str) -> Flags:
    """By the entries and pools of exactly this user or token: owner and root@pam are ignored."""
    return _with_pools(index_of(table), identity, path).privileges


def effective(table: AccessTable, principal: str) -> dict[str, Flags]:
    """What /access/permissions answers without a path: path -> privileges, where there are any.

    Paths: the well-known ones, every node of the ACL tree, and all members of pools.
    """
    index = index_of(table)
    identity = _identity(index, principal)
    if identity is None:
        return {}
    if identity == ROOT:
        return dict.fromkeys(sorted(index.listed), index.everything_granted)
    own = _everywhere(index, identity)
    split = split_token(identity)
    if split is None or split[0] == ROOT:
        return {path: found.privileges for path, found in own.items() if found.privileges}
    owner = _everywhere(index, split[0])
    shared: dict[tuple[int, int], Flags] = {}
    result = {}
    for path, found in own.items():
        beside = owner.get(path)
        if beside is None:
            continue
        key = (id(beside), id(found))
        if key not in shared:
            shared[key] = _both(beside.privileges, found.privileges)
        if shared[key]:
            result[path] = shared[key]
    return result


def _identity(index: Index, principal: str) -> str | None:
    """Whose entries apply: the owner's for a token without privilege separation; None: no one's."""
    split = split_token(principal)
    if split is None:
        return principal
    token = index.tokens.get(principal)
    if token is None:
        return None
    return principal if token.privsep else split[0]


def _at(index: Index, identity: str, path: str) -> RoleSet | None:
    nodes = index.nodes(identity)
    if not nodes:
        return None
    found: RoleSet | None = None
    *inner, last = chain(path) or ("",)
    for place in inner:
        node = nodes.get(place)
        if node is not None and node.inherited is not None:
            found = node.inherited
    node = nodes.get(last)
    return node.last if node is not None and node.last is not None else found


def _with_pools(index: Index, identity: str, path: str) -> RoleSet:
    """Roles on `path`, and those that the principal has on pools with it as a direct member."""
    direct = _at(index, identity, path)
    pools = index.pools_of.get(path, ())
    return _add_pools(index, direct, [_at(index, identity, pool) for pool in pools])


def _everywhere(index: Index, identity: str) -> dict[str, RoleSet]:
    """Members of the same pools are equivalent, except those with entries of their own."""
    found = index.spread(identity)
    alone = {path: found.get(path) for path in index.nodes(identity) if path in index.pools_of}
    for (parent, pools), members in index.pooling.alike.items():
        given = [found.get(pool) for pool in pools]
        if any(given):
            inherited = _at(index, identity, f"{parent}/-")
            found.update(dict.fromkeys(members, _add_pools(index, inherited, given)))
    for path, direct in alone.items():
        given = [found.get(pool) for pool in index.pools_of[path]]
        found[path] = _add_pools(index, direct, given)
    for path in index.unlisted:
        found.pop(path, None)
    return found


def _add_pools(index: Index, direct: RoleSet | None, pools: list[RoleSet | None]) -> RoleSet:
    """NoAccess on the path overrides the pools, NoAccess on a pool overrides the path."""
    given = tuple(pool for pool in pools if pool is not None)
    if not given:
        return direct if direct is not None else index.role_set(_NOTHING)
    key = (direct, given)
    known = index.with_pools.get(key)
    if known is None:
        merged: dict[str, bool] = dict(direct.roles) if direct is not None else {}
        added = {role: False for pool in given for role in pool.roles}
        if NO_ACCESS in added and NO_ACCESS not in merged:
            merged = {NO_ACCESS: False}
        known = index.with_pools[key] = index.role_set({**added, **merged})
    return known


def _both(owner: Flags, token: Flags) -> Flags:
    """The intersection of owner and token; it propagates if it does on both sides."""
    return {name: owner[name] and flag for name, flag in token.items() if name in owner}
