"""Many guests, each with a controller that backs it up: the demo, many times over."""

from __future__ import annotations

from reconciler.access.contents import TOKEN, USER, PoolMembers, Principal
from reconciler.access.table import AccessTable

ROLE = "GuestBackup"
PRIVILEGES = frozenset(
    {"Datastore.AllocateSpace", "Datastore.Audit", "VM.Audit", "VM.Backup", "VM.Snapshot"}
)

EXPIRES = 2_000_000_000
"""Unix seconds; in 2033."""


def controllers(guests: int) -> AccessTable:
    """A user, a token and two pairs of entries per guest: four entries each."""
    table = AccessTable(users={"root@pam": Principal()})
    table.roles[ROLE] = PRIVILEGES
    ids = range(1000, 1000 + guests)
    for vmid in ids:
        user = f"guest-{vmid}@pve"
        table.users[user] = Principal()
        table.tokens[f"{user}!controller"] = Principal(expires=EXPIRES)
        for path in (f"/vms/{vmid}", "/storage/local"):
            table.add_entry(path, USER, user, ROLE, propagate=True)
            table.add_entry(path, TOKEN, f"{user}!controller", ROLE, propagate=True)
    table.pools["customers"] = PoolMembers(frozenset(ids))
    return table
