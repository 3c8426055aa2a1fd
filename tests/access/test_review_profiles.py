"""A review leaves nothing out: what it says of a place is what Proxmox VE would answer there."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from reconciler.access.analysis.affected import owner_of
from reconciler.access.contents import GROUP
from reconciler.access.evaluate import privileges
from reconciler.access.review.privilege_catalog import (
    MEANINGS,
    Level,
    ResourceType,
    counting,
    level,
    privilege_in_words,
)
from reconciler.access.review.profiles import (
    ANCHORS,
    POOL,
    Profile,
    all_active_profiles,
    around,
    holdings,
)
from reconciler.access.review.review import About, ReviewContext, review
from reconciler.access.table import AccessTable
from reconciler.pve.release import NEWEST, known_releases
from reconciler.sandbox.config.usercfg import parse
from reconciler.sandbox.grants import access_table
from tests.support.random_tables import PATHS, tables

BUILT_IN_ROLES = NEWEST.roles
PRIVILEGES = NEWEST.privileges

_CASES: list[dict[str, Any]] = json.loads(
    gzip.decompress((Path(__file__).parents[1] / "data/permissions/cases.json.gz").read_bytes())
)
_ASKED = (
    *PATHS,
    "/storage/other",
    "/vms/999",
    "/nodes/n1",
    "/access/groups/ops",
    "/access/realm/pve",
    "/sdn/zones/z/v",
    "/mapping/pci/x",
    "/pool/other",
)


def _said(profile: Profile, path: str, pool_of: dict[str, str]) -> frozenset[str]:
    values = {
        place: frozenset(holding.privileges) for holding in profile for place in holding.places
    }
    if path in values:
        return values[path]
    return frozenset() if path in ANCHORS else around(path, values, pool_of.get(path, ""))


def _held(table: AccessTable, who: str, path: str) -> frozenset[str]:
    """What counts there; a token without its user can do nothing."""
    kind, owner = counting(path), owner_of(who)
    if kind is None or (owner is not None and owner not in table.users):
        return frozenset()
    return frozenset(name for name in privileges(table, who, path) if name.startswith(kind[1]))


def _agrees(table: AccessTable, paths: tuple[str, ...]) -> None:
    active, found = all_active_profiles(table), holdings(table)
    pool_of = {path: pool for pool, members in found.pools.items() for path in members}
    for who, number in found.of.items():
        for path in paths:
            if counting(path) is not None:
                held = _held(active, who, path)
                assert _said(found.profiles[number], path, pool_of) == held, (who, path)


@given(tables())
def test_every_place_of_random_tables(table: AccessTable) -> None:
    _agrees(table, _ASKED)


@pytest.mark.parametrize("case", _CASES, ids=lambda case: f"seed-{case['seed']}")
def test_every_place_that_recorded_questions_ask_for(case: dict[str, Any]) -> None:
    table = access_table(parse(case["user.cfg"].encode()))
    _agrees(table, tuple({query["path"] for query in case["queries"]}))


@given(tables(), tables())
def test_what_changed_leads_from_the_one_to_the_other(old: AccessTable, new: AccessTable) -> None:
    """Old rights and the changes make the new rights, on every path and for everybody in both."""
    first = review(About("c", 100), {}, old, (), ReviewContext()).to_json()
    found = review(About("c", 200), {}, new, (), ReviewContext(earlier=first)).since
    assert found is not None
    was, now = all_active_profiles(old), all_active_profiles(new)
    for who in sorted({*holdings(old).of} & {*holdings(new).of}):
        changes = {
            path: one for one in found.rights if who in one.principals for path in one.places
        }
        for path in _ASKED:
            before, after = _held(was, who, path), _held(now, who, path)
            if path in changes:
                assert {*changes[path].gained} == after - before, (who, path)
                assert {*changes[path].lost} == before - after, (who, path)
            elif before != after:
                assert _is_unnamed(path, changes), (who, path, before, after)


def _is_unnamed(path: str, changes: dict[str, Any]) -> bool:
    """A path that neither review names stands behind what is said of all that is not named."""
    above = path
    while above != "/":
        above = above.rpartition("/")[0] or "/"
        if f"{above}/-" in changes:
            return True
    return False


def test_the_same_rights_by_another_way_are_not_a_change() -> None:
    old = access_table(
        parse(
            b"user:a@pve:1:0::::::\n"
            b"acl:1:/vms/100:a@pve:PVEVMUser:\nacl:1:/vms/101:a@pve:PVEVMUser:\n"
        )
    )
    new = access_table(
        parse(
            b"user:a@pve:1:0::::::\ngroup:g:a@pve::\npool:p::100,101::\n"
            b"acl:1:/pool/p:@g:PVEVMUser:\n"
        )
    )
    first = review(About("c", 1), {}, old, (), ReviewContext()).to_json()
    found = review(About("c", 2), {}, new, (), ReviewContext(earlier=first)).since
    assert found is not None
    assert [(one.sort, one.gained, one.places) for one in found.rights] == [
        ("pools", ("VM.Backup",), ("/pool/p",))
    ]
    assert found.grants_gone == (
        "PVEVMUser for user a@pve on /vms/100",
        "PVEVMUser for user a@pve on /vms/101",
    )


def test_a_pool_stands_for_its_guests_and_exceptions_are_named() -> None:
    table = access_table(
        parse(
            b"user:a@pve:1:0::::::\npool:p::100,101,102::\n"
            b"acl:1:/pool/p:a@pve:PVEVMUser:\nacl:1:/vms/102:a@pve:NoAccess:\n"
        )
    )
    found = holdings(table)
    guests = [one for one in found.profiles[found.of["a@pve"]] if one.sort is ResourceType.GUESTS]
    assert [(one.level, one.places) for one in guests] == [
        (Level.USE, (f"{POOL}p",)),
        (Level.NONE, ("/vms/102",)),
    ]


def test_a_storage_in_one_more_pool_is_not_like_the_others() -> None:
    """NoAccess reaches one of them through the outer pool."""
    table = access_table(
        parse(
            b"user:a@pve:1:0:::::\npool:dev:::st1:\npool:dev/web:::st1,st2:\n"
            b"acl:1:/pool:a@pve:NoAccess:\nacl:0:/pool/dev/web:a@pve:PVEDatastoreUser:\n"
        )
    )
    _agrees(table, ("/storage/st1", "/storage/st2"))


def test_every_privilege_has_a_level_and_words_and_counts_somewhere() -> None:
    assert MEANINGS.keys() == {name for one in known_releases().values() for name in one.privileges}
    beginnings = tuple(one for path in _ASKED for one in (counting(path) or (None, ()))[1])
    somewhere = {name for name in PRIVILEGES if name.startswith(beginnings)}
    assert somewhere == PRIVILEGES


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("PVEAuditor", Level.VIEW),
        ("PVEVMUser", Level.USE),
        ("PVEDatastoreUser", Level.USE),
        ("PVEVMAdmin", Level.CONTROL),
        ("Administrator", Level.CONTROL),
        ("NoAccess", Level.NONE),
    ],
)
def test_roles_of_proxmox_have_the_level_that_their_name_promises(
    role: str, expected: Level
) -> None:
    assert level(BUILT_IN_ROLES[role]) is expected


def test_words_say_the_least_first_and_fold_what_belongs_together() -> None:
    assert privilege_in_words(()) == "nothing"
    assert privilege_in_words(["VM.PowerMgmt", "VM.Audit"]) == "see, start and stop"
    words = privilege_in_words(BUILT_IN_ROLES["PVEVMAdmin"])
    assert "change all settings" in words
    assert "change memory" not in words


def test_disabled_accounts_are_shown_with_what_they_would_hold() -> None:
    table = access_table(
        parse(b"user:a@pve:0:0::::::\ngroup:g:a@pve::\nacl:1:/vms:@g:PVEVMUser:\n")
    )
    [account] = [
        one
        for one in review(About("c", 1), {}, table, (), ReviewContext()).accounts
        if one.principal == "a@pve"
    ]
    assert account.login == "disabled"
    assert account.profile != 0
    assert GROUP not in table.acl["/vms"] or table.users["a@pve"].enabled is False
