"""An access table as large as a user.cfg of 1 MiB allows."""

from __future__ import annotations

import random

from reconciler.access.contents import GROUP, ROOT, TOKEN, USER, PoolMembers, Principal
from reconciler.access.table import AccessTable
from reconciler.pve.release import NEWEST

PRIVILEGES = NEWEST.privileges


def large_table(
    users: int = 3000, tokens: int = 6000, entries: int = 10000, guests: int = 2000
) -> AccessTable:
    """100 groups, 60 pools, 30 roles; entries mostly on guests, pools and storages."""
    dice = random.Random(9)  # noqa: S311 - the same table each time, no secret
    table = AccessTable(users={ROOT: Principal()})
    names = [f"user{n:04}@{dice.choice(('pve', 'ldap'))}" for n in range(users)]
    groups = [f"group{n:03}" for n in range(100)]
    roles = [f"Role{n:02}" for n in range(30)]
    for role in roles:
        table.roles[role] = frozenset(dice.sample(sorted(PRIVILEGES), dice.randint(1, 12)))
    roles += ["PVEVMUser", "PVEAuditor", "PVEVMAdmin", "PVEDatastoreUser", "NoAccess"]
    for name in names:
        table.users[name] = Principal(enabled=dice.random() > 0.05)
        table.add_members(name, dice.sample(groups, dice.choice((0, 1, 1, 2, 3))))
    for n in range(tokens):
        table.tokens[f"{dice.choice(names)}!t{n:04}"] = Principal(privsep=dice.random() > 0.2)
    ids = list(range(100, 100 + guests))
    for n in range(60):
        members = frozenset(ids[n * guests // 60 : (n + 1) * guests // 60])
        table.pools[f"pool{n:02}"] = PoolMembers(members, frozenset({f"store{n % 20}"}))
    holders = {USER: names, TOKEN: sorted(table.tokens), GROUP: groups}
    for _ in range(entries):
        kind = dice.choices((USER, TOKEN, GROUP), (4, 4, 2))[0]
        who = dice.choice(holders[kind])
        table.add_entry(
            _path(dice, ids), kind, who, dice.choice(roles), propagate=dice.random() > 0.1
        )
    return table


def _path(dice: random.Random, ids: list[int]) -> str:
    kind = dice.random()
    if kind < 0.6:
        return f"/vms/{dice.choice(ids)}"
    if kind < 0.8:
        return f"/pool/pool{dice.randrange(60):02}"
    if kind < 0.95:
        return f"/storage/store{dice.randrange(20)}"
    return dice.choice(("/", "/vms", "/storage", "/access", "/nodes", "/pool"))
