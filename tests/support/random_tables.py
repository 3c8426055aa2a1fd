"""Small random access tables in which everything can happen: shadows, pools, tokens, NoAccess."""

from __future__ import annotations

from hypothesis import strategies as st

from reconciler.access.contents import GROUP, TOKEN, USER, PoolMembers, Principal
from reconciler.access.table import AccessTable
from reconciler.pve.release import NEWEST

BUILT_IN_ROLES = NEWEST.roles

USERS = ("ann@pve", "bob@pve", "cid@ldap", "root@pam")
TOKENS = ("ann@pve!ci", "bob@pve!ops", "cid@ldap!x1", "root@pam!auto")
GROUPS = ("ops", "dev", "void")
POOLS = ("dev", "dev/web", "prod")
PATHS = (
    "/",
    "/access",
    "/access/groups",
    "/pool",
    "/pool/dev",
    "/pool/dev/web",
    "/pool/prod",
    "/storage",
    "/storage/local",
    "/vms",
    "/vms/100",
    "/vms/101",
)
ROLES = ("Audit", "Start", "Both", "Gone", "NoAccess", "PVEUserAdmin", "Administrator")
PRIVILEGES = ("VM.Audit", "VM.PowerMgmt", "Datastore.Audit")

_principals = st.one_of(
    st.tuples(st.just(USER), st.sampled_from((*USERS, "ghost@pve"))),
    st.tuples(st.just(GROUP), st.sampled_from(GROUPS)),
    st.tuples(st.just(TOKEN), st.sampled_from((*TOKENS, "ann@pve!none"))),
)
_entries = st.dictionaries(
    st.tuples(st.sampled_from(PATHS), _principals, st.sampled_from(ROLES)),
    st.booleans(),
    max_size=14,
)
_logins = st.builds(
    Principal,
    enabled=st.sampled_from((True, True, True, False)),
    expires=st.sampled_from((0, 0, 0, 50, 200)),
    privsep=st.booleans(),
)
_members = st.frozensets(st.sampled_from(GROUPS), max_size=2)
_pool = st.builds(
    PoolMembers,
    guests=st.frozensets(st.sampled_from((100, 101)), max_size=2),
    storages=st.frozensets(st.just("local"), max_size=1),
)
_privileges = st.frozensets(st.sampled_from(PRIVILEGES), max_size=2)


@st.composite
def tables(draw: st.DrawFn) -> AccessTable:
    """Roles of one or two privileges, users that may be missing, disabled or expired."""
    table = AccessTable()
    for role in ("Audit", "Start", "Both"):
        if draw(st.integers(0, 9)):
            table.roles[role] = draw(_privileges)
    for user in USERS:
        if draw(st.integers(0, 9)):
            table.users[user] = draw(_logins)
        table.add_members(user, sorted(draw(_members)))
    for token in TOKENS:
        if draw(st.integers(0, 4)):
            table.tokens[token] = draw(_logins)
    for pool in POOLS:
        table.pools[pool] = draw(_pool)
    for (path, (kind, who), role), propagate in draw(_entries).items():
        table.add_entry(path, kind, who, role, propagate=propagate)
    return table


def facts(table: AccessTable) -> tuple[object, ...]:
    """What two tables must have in common to be the same; empty groups and pools do not count."""
    return (
        {role: held for role, held in table.roles.items() if role not in BUILT_IN_ROLES},
        {group: members for group, members in table.groups.items() if members},
        table.users,
        table.tokens,
        table.acl,
        {pool: found for pool, found in table.pools.items() if found != PoolMembers()},
    )
