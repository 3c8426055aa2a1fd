"""The indexed evaluation agrees with the plainest possible reading of PVE's algorithm."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.access.contents import GROUP, TOKEN, USER, split_token
from reconciler.access.evaluate import effective, privileges
from reconciler.access.table import AccessTable
from reconciler.access.trace import EntryEffect, trace_decision
from reconciler.pve.acl_paths import check_path, normalize_path
from tests.support.random_tables import PATHS, TOKENS, USERS, tables

_ASKED = (*PATHS, "/storage/other", "/vms/999", "/nodes/n1", "/pool/dev/web/x")


def _plain_roles(table: AccessTable, who: str, path: str) -> dict[str, bool]:
    """Node by node from the root; a nonempty selection replaces what was inherited."""
    current: dict[str, bool] = {}
    parts = [part for part in path.split("/") if part]
    for depth in range(len(parts) + 1):
        last = depth == len(parts)
        kinds = table.acl.get("/" + "/".join(parts[:depth]), {})
        own = [kinds.get(kind, {}).get(who, {}) for kind in (TOKEN, USER)]
        mine = [group for group in table.groups if who in table.groups[group]]
        groups: dict[str, bool] = {}
        for group in mine:
            for role, flag in kinds.get(GROUP, {}).get(group, {}).items():
                groups[role] = groups.get(role, False) or flag
        for roles in (*own, groups):
            known = {role: flag for role, flag in roles.items() if role in table.roles}
            selected = {role: flag for role, flag in known.items() if last or flag}
            if selected:
                current = selected
                break
    return {"NoAccess": current["NoAccess"]} if "NoAccess" in current else current


def _with_pools(table: AccessTable, who: str, path: str) -> dict[str, bool]:
    roles = _plain_roles(table, who, path)
    pooled: set[str] = set()
    for pool, members in table.pools.items():
        inside = {f"/vms/{guest}" for guest in members.guests}
        if path in inside | {f"/storage/{name}" for name in members.storages}:
            pooled |= _plain_roles(table, who, f"/pool/{pool}").keys()
    if "NoAccess" in roles:
        return roles
    if "NoAccess" in pooled:
        return {"NoAccess": False}
    return {**dict.fromkeys(pooled, False), **roles}


def _plain(table: AccessTable, who: str, path: str) -> dict[str, bool]:
    if who == "root@pam":
        return dict.fromkeys(table.roles["Administrator"], True)
    owner = (split_token(who) or ("",))[0]
    if owner and who not in table.tokens:
        return {}
    if owner and not table.tokens[who].privsep:
        return _plain(table, owner, path)
    found: dict[str, bool] = {}
    for role, flag in _with_pools(table, who, path).items():
        for name in table.roles[role]:
            found[name] = found.get(name, False) or flag
    if owner and owner != "root@pam":
        beside = _plain(table, owner, path)
        found = {name: beside[name] and flag for name, flag in found.items() if name in beside}
    return found


@given(tables(), st.sampled_from((*USERS, *TOKENS, "ghost@pve")))
def test_every_answer_is_the_plain_one(table: AccessTable, who: str) -> None:
    listed = effective(table, who)
    for path in {*_ASKED, *listed}:
        wanted = _plain(table, who, path)
        assert privileges(table, who, path) == wanted
        decision = trace_decision(table, who, path)
        assert decision.privileges == wanted
        for side in decision.sides:
            deciding = [one for one in side.entries if one.effect is EntryEffect.DECIDES]
            assert bool(deciding) >= bool(side.privileges)
    for path in ("/", "/vms", "/storage", "/pool", "/access", "/access/groups"):
        assert listed.get(path, {}) == _plain(table, who, path)


def test_paths_that_pve_takes_and_refuses() -> None:
    taken = (
        "/ /access /access/groups/a.b_c-1 /access/realm/x /nodes/n /pool/a/b/c /storage/s /vms/100 "
        "/mapping/pci/dev /sdn /sdn/zones/z/v/4095 /sdn/zones/z/v/9999 /sdn/controllers/a-b "
        "/sdn/dns/x1 /sdn/route-maps"
    )
    refused = (
        "/dc /access/users /pools/a /cluster /vms/99 /vms/0100 /vms/1x0 /storage/a/b /pool/a/b/c/d "
        "/sdn/dns/a-b /sdn/controllers/a.b /sdn/zones/z/v/0 /sdn/zones/z/v/1/1 /mapping/a/b/c"
    )
    assert [path for path in taken.split() if not check_path(path)] == []
    assert [path for path in refused.split() if check_path(path)] == []


def test_normal_form_of_paths() -> None:
    given_paths = ("vms", "//vms//100/", "/", "///", "", "0", "/a b", "/ä", "/x@y")
    assert [normalize_path(path) for path in given_paths] == [
        *("/vms", "/vms/100", "/", "/"),
        *(None, None, None, None, None),
    ]
