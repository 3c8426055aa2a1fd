"""Random states for property tests: small worlds in which objects name each other often."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from reconciler.kinds.acl.table import AclSpec
from reconciler.kinds.group import GroupSpec
from reconciler.kinds.role import RoleSpec
from reconciler.kinds.token import TokenSpec
from reconciler.kinds.user.table import UserSpec
from reconciler.model.address import Address
from reconciler.model.secret import SecretRef, SecretSink
from reconciler.model.spec import Spec
from reconciler.pve.release import NEWEST
from tests.kinds.samples import declared

PRIVILEGES = NEWEST.privileges

ROLES = ("R1", "R2", "R3")
GROUPS = ("g1", "g2", "g3")
USERS = ("u1@pve", "u2@pam", "u3@pve")
TOKENS = tuple(f"{user}!{name}" for user in USERS for name in ("t1", "t2"))
PATHS = ("/", "/vms", "/vms/100", "/storage/local", "/access/groups", "/pool/p")
BUILT_IN = ("PVEAuditor", "NoAccess", "PVEVMUser")

text = st.sampled_from(("", "on call", "a:b%c", "Käfer & söhne", "line\nfeed", "x=1;y"))
expiry = st.sampled_from((0, 1_900_000_000, 2_000_000_000))
privileges = st.lists(st.sampled_from(sorted(PRIVILEGES)[:6]), unique=True).map(
    lambda names: tuple(sorted(names))
)


def some(names: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), unique=True) if names else st.just([])


@st.composite
def access_states(draw: st.DrawFn) -> dict[Address, Spec]:
    """Roles, groups, users, tokens and entries that only name each other or built-in roles."""
    state: dict[Address, Spec] = {}
    roles, groups, users = draw(some(ROLES)), draw(some(GROUPS)), draw(some(USERS))
    for name in roles:
        state[Address("role", name)] = RoleSpec(privileges=draw(privileges))
    for name in groups:
        state[Address("group", name)] = GroupSpec(comment=draw(text))
    for name in users:
        state[Address("user", name)] = UserSpec(
            enabled=draw(st.booleans()),
            expires=draw(expiry),
            firstname=draw(st.sampled_from(("", "Anna", "Ö"))),
            email=draw(st.sampled_from(("", "a@example.com"))),
            comment=draw(text),
            groups=tuple(sorted(draw(some(tuple(groups))))),
            keys="",
        )
    tokens = draw(some(tuple(t for t in TOKENS if t.partition("!")[0] in users)))
    for name in tokens:
        state[Address("token", name)] = TokenSpec(
            privsep=draw(st.booleans()), expires=draw(expiry), comment=draw(text)
        )
    principals = [f"user:{u}" for u in users] + [f"group:{g}" for g in groups]
    principals += [f"token:{t}" for t in tokens]
    for _ in range(draw(st.integers(0, 8)) if principals else 0):
        path = draw(st.sampled_from(PATHS))
        who = draw(st.sampled_from(principals))
        role = draw(st.sampled_from((*roles, *BUILT_IN)))
        state[Address("acl", f"{path}|{who}|{role}")] = AclSpec(propagate=draw(st.booleans()))
    return state


def with_sinks(state: dict[Address, Spec]) -> dict[Address, Spec]:
    """The same, where the secret of each token has somewhere to go."""
    return {
        address: spec.model_copy(update={"secret_to": SecretSink(file=address.id)})
        if isinstance(spec, TokenSpec)
        else spec
        for address, spec in state.items()
    }


STORAGES = ("nas", "usb", "vault")
POOLS = ("p", "p/a", "q")
REALMS = ("corp", "sso")
GUESTS = (9000, 9001)
SECRET = {"env": "SECRET"}

plain_text = st.sampled_from(("", "on call", "a:b%c", "Käfer & söhne", "x=1;y"))
schedules = st.sampled_from(("02:30", "mon..fri 03:00", "*/30", "sat 01:15"))
scopes = st.sampled_from((["backup"], ["backup", "iso"], ["iso", "snippets", "vztmpl"]))
kept = st.sampled_from(({"last": 3}, {"daily": 7, "weekly": 2}, {"all": True}))


@st.composite
def storage_tables(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """Nothing is reached over a network: every storage is disabled."""
    table: dict[str, Any] = {"disable": True, "nodes": draw(some(("demo-felhom", "n2")))}
    if draw(st.booleans()):
        table["keep"] = draw(kept)
    if name == "nas":
        return {**table, "type": "nfs", "server": "nas", "export": "/v", "content": draw(scopes)}
    if name == "usb":
        return {**table, "type": "dir", "path": "/mnt/usb", "content": draw(scopes)}
    fixed = {"type": "pbs", "server": "pbs", "datastore": "main", "username": "b@pbs"}
    return {**table, **fixed, "password": SECRET}


@st.composite
def realm_tables(draw: st.DrawFn, name: str) -> dict[str, Any]:
    table: dict[str, Any] = {"comment": draw(plain_text)}
    if name == "sso":
        issuer = draw(st.sampled_from(("https://a.invalid", "https://b.invalid")))
        table |= {"type": "openid", "issuer_url": issuer, "client_id": "pve"}
        return {**table, "client_key": SECRET} if draw(st.booleans()) else table
    base = draw(st.sampled_from(("dc=a", "dc=b")))
    table |= {"type": "ldap", "server1": "ldap.invalid", "base_dn": base, "user_attr": "uid"}
    return table


@st.composite
def backup_tables(draw: st.DrawFn, storages: tuple[str, ...], pools: tuple[str, ...]) -> Any:
    table: dict[str, Any] = {
        "schedule": draw(schedules),
        "storage": draw(st.sampled_from((*storages, "local"))),
        "comment": draw(plain_text),
        "enabled": draw(st.booleans()),
    }
    ways: list[dict[str, Any]] = [
        {"guests": [9001]},
        {"all": True},
        {"all": True, "exclude": [9000]},
    ]
    ways += [{"pool": pool} for pool in pools]
    if draw(st.booleans()):
        table["keep"] = draw(kept)
    return {**table, **draw(st.sampled_from(ways))}


@st.composite
def states(draw: st.DrawFn) -> dict[Address, Spec]:
    """Objects of all kinds that only name each other or what every cluster has."""
    state = draw(access_states())
    storages, realms = tuple(sorted(draw(some(STORAGES)))), tuple(sorted(draw(some(REALMS))))
    chosen = sorted(draw(some(POOLS)))
    pools = tuple(name for name in chosen if name != "p/a" or "p" in chosen)
    if "p" not in pools:
        state = {a: spec for a, spec in state.items() if not a.id.startswith("/pool/p|")}
    for name in storages:
        state[Address("storage", name)] = declared("storage", name, draw(storage_tables(name)))
    for name in realms:
        state[Address("realm", name)] = declared("realm", name, draw(realm_tables(name)))
    free = list(draw(st.permutations(GUESTS)))
    for name in pools:
        taken = [free.pop() for _ in range(draw(st.integers(0, len(free))))]
        table = {"comment": draw(text), "guests": taken, "storages": draw(some(storages))}
        state[Address("pool", name)] = declared("pool", name, table)
    if "corp" in realms and draw(st.booleans()):
        table = {"schedule": draw(schedules), "comment": draw(plain_text)}
        state[Address("realm_sync", "nightly")] = declared("realm_sync", "nightly", table, "corp")
    for name in draw(some(("b1", "b2"))):
        state[Address("backup", name)] = declared(
            "backup", name, draw(backup_tables(storages, pools))
        )
    groups = [address.id for address in state if address.kind == "group"]
    for path in (*(f"/storage/{s}" for s in storages), *(f"/pool/{p}" for p in pools)):
        if len(groups) > 0 and draw(st.booleans()):
            entry = f"{path}|group:{draw(st.sampled_from(groups))}|PVEAuditor"
            state[Address("acl", entry)] = AclSpec(propagate=draw(st.booleans()))
    secret: bool = draw(st.booleans())
    return with_passwords(state) if secret else state


def with_passwords(state: dict[Address, Spec]) -> dict[Address, Spec]:
    """The same, where users of realm pve are made with a password."""
    return {
        address: spec.model_copy(update={"password": SecretRef(env="SECRET")})
        if isinstance(spec, UserSpec) and address.id.endswith("@pve")
        else spec
        for address, spec in state.items()
    }
