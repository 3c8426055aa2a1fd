"""The part of user.cfg that the permission algorithm needs."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.access.contents import PoolMembers, Principal
from reconciler.access.table import AccessTable
from reconciler.sandbox.config.usercfg import Roles, UserConfig


def access_table(cfg: UserConfig) -> AccessTable:
    """The file as `access.evaluate` expects it."""
    table = AccessTable(release=cfg.release)
    table.roles.update({name: frozenset(given) for name, given in cfg.roles.items()})
    table.groups.update({name: group.users for name, group in cfg.groups.items()})
    for name, user in cfg.users.items():
        table.users[name] = Principal(user.enable, user.expire or 0)
        for sub, token in user.tokens.items():
            table.tokens[f"{name}!{sub}"] = Principal(user.enable, token.expire or 0, token.privsep)
    table.pools.update(
        {
            name: PoolMembers(frozenset(pool.vms), frozenset(pool.storage))
            for name, pool in cfg.pools.items()
        }
    )
    for path, node in cfg.acl.items():
        kinds: Mapping[str, dict[str, Roles]] = dict(node.kinds())
        table.acl[path] = {kind: principals for kind, principals in kinds.items() if principals}
    return table
