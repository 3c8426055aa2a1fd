"""At three in the morning: why not, what would help, who else could."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.access.contents import GROUP, TOKEN, USER, PoolMembers, Principal
from reconciler.access.delta import Delta, apply_delta
from reconciler.access.evaluate import index_of, privileges, roles
from reconciler.access.explain.explain import explain, parse_refusal, who_can
from reconciler.access.explain.recommendation import apply_remediation, recommended
from reconciler.access.explain.remediation import (
    Remediation,
    least_privilege_grant,
    with_existing_role,
)
from reconciler.access.explain.snippets import pveum, toml
from reconciler.access.index import NO_ACCESS
from reconciler.access.login import Login
from reconciler.access.table import AccessTable
from tests.support.random_tables import PATHS, PRIVILEGES, TOKENS, USERS, tables


def _cluster() -> AccessTable:
    table = AccessTable()
    for user in ("alice@pve", "alice@ldap", "bob@pve"):
        table.users[user] = Principal()
    table.tokens["bob@pve!ci"] = Principal()
    table.add_members("alice@ldap", ["ops"])
    table.add_entry("/vms", GROUP, "ops", "PVEVMUser", propagate=True)
    return table


def _applied(table: AccessTable, remedy: Remediation, *, without: object = None) -> AccessTable:
    result = table.copy()
    if remedy.role is not None:
        result.roles[remedy.role.name] = frozenset(remedy.role.privileges)
    for entries, there in ((remedy.remove, False), (remedy.add, True)):
        for entry in entries:
            if entry is not without:
                key = entry.key
                sides = (None, entry.propagate) if there else (entry.propagate, None)
                apply_delta(result, Delta(entries={key: sides}))
    return result


def test_the_twin_in_another_realm_is_named() -> None:
    found = explain(_cluster(), "alice@pve", "/vms/100", "VM.Backup")
    assert (found.twins, found.groups, found.allowed) == (("alice@ldap",), (), False)
    assert explain(_cluster(), "alice@ldap", "/vms/100", "VM.Backup").allowed


def test_a_user_that_does_not_exist_or_is_disabled_may_nothing() -> None:
    table = _cluster()
    assert explain(table, "ghost@pve", "/", "VM.Audit").login is Login.ABSENT
    table.users["alice@ldap"] = Principal(enabled=False)
    found = explain(table, "alice@ldap", "/vms/100", "VM.Backup")
    assert (found.login, found.allowed) == (Login.DISABLED, False)


def test_the_smallest_grant_keeps_what_the_group_gives() -> None:
    """An entry of the user itself would take the place of the group's."""
    remedy = least_privilege_grant(_cluster(), "alice@ldap", "/vms/100", "VM.Snapshot")
    assert remedy is not None
    assert [(entry.path, entry.role) for entry in remedy.add] == [
        ("/vms/100", "Only-VM.Snapshot"),
        ("/vms/100", "PVEVMUser"),
    ]
    assert pveum(remedy) == (
        "pveum role add Only-VM.Snapshot --privs VM.Snapshot",
        "pveum acl modify /vms/100 --roles Only-VM.Snapshot,PVEVMUser --users alice@ldap "
        "--propagate 1",
    )
    assert tomllib.loads(toml(remedy)) == {
        "role": {"Only-VM.Snapshot": {"privileges": ["VM.Snapshot"]}},
        "acl": [
            {
                "roles": ["Only-VM.Snapshot", "PVEVMUser"],
                "paths": ["/vms/100"],
                "users": ["alice@ldap"],
            }
        ],
    }


def _roles(way: Remediation) -> list[str]:
    return sorted({entry.role for entry in way.add})


@pytest.mark.parametrize(
    ("path", "privilege", "first", "then"),
    [
        ("/", "Sys.Audit", "PVEAuditor", "Only-Sys.Audit"),
        ("/nodes/pve", "Sys.Syslog", "Only-Sys.Syslog", ""),
        ("/vms/100", "VM.Audit", "PVEAuditor", "Only-VM.Audit"),
        ("/storage/nfs", "Datastore.Audit", "PVEAuditor", "Only-Datastore.Audit"),
        ("/pool/dev", "Pool.Audit", "PVEPoolUser", "Only-Pool.Audit"),
        ("/vms/100", "VM.Clone", "PVETemplateUser", "Only-VM.Clone"),
        ("/vms/100", "VM.Backup", "Only-VM.Backup", "PVEVMUser"),
        ("/", "Sys.Modify", "Only-Sys.Modify", ""),
        ("/access", "Permissions.Modify", "Only-Permissions.Modify", ""),
    ],
)
def test_what_may_be_done_weighs_more_than_how_many_privileges_that_are(
    path: str, privilege: str, first: str, then: str
) -> None:
    ways = recommended(_cluster(), "bob@pve", path, privilege)
    assert [_roles(way) for way in ways] == [[role] for role in (first, then) if role]


def test_half_a_pair_is_completed_with_the_role_of_the_token() -> None:
    table = _cluster()
    table.add_entry("/vms/100", TOKEN, "bob@pve!ci", "PVEVMUser", propagate=True)
    way = recommended(table, "bob@pve!ci", "/vms/100", "VM.Backup")[0]
    assert [(e.kind, e.principal, e.role) for e in way.add] == [(USER, "bob@pve", "PVEVMUser")]
    assert way.role is None
    assert "bob@pve gets the role that its token has there" in way.why


@pytest.mark.parametrize(
    ("own", "place"),
    [("", "/pool/dev"), ("PVETemplateUser", "/pool/dev"), ("NoAccess", "/vms/100")],
)
def test_half_a_pair_is_completed_on_the_pool_of_the_token_where_that_helps(
    own: str, place: str
) -> None:
    """NoAccess of the user on the guest itself denies what the pool gives."""
    table = _cluster()
    table.pools["dev"] = PoolMembers(frozenset({100}), frozenset())
    table.add_entry("/pool/dev", TOKEN, "bob@pve!ci", "PVEVMUser", propagate=True)
    if own:
        table.add_entry("/vms/100", USER, "bob@pve", own, propagate=True)
    way = recommended(table, "bob@pve!ci", "/vms/100", "VM.Backup")[0]
    assert {(one.path, one.principal) for one in way.add} == {(place, "bob@pve")}, way
    apply_remediation(table, way)
    assert "VM.Backup" in privileges(table, "bob@pve!ci", "/vms/100")


def test_a_group_with_a_role_on_the_path_is_asked_before_the_user_gets_an_entry() -> None:
    """An own entry would take the place of the group's for good."""
    table = _cluster()
    table.add_entry("/vms/100", GROUP, "ops", "PVETemplateUser", propagate=True)
    table.add_members("bob@pve", ["ops"])
    way, *others = recommended(table, "alice@ldap", "/vms/100", "VM.Backup")
    assert [(e.kind, e.principal, e.role) for e in way.add] == [(GROUP, "ops", "Only-VM.Backup")]
    assert way.others == ("ops",)
    assert all(entry.kind == USER for other in others for entry in other.add)
    table.add_entry("/vms/100", USER, "alice@ldap", "PVETemplateUser", propagate=True)
    assert recommended(table, "alice@ldap", "/vms/100", "VM.Backup")[0].add[0].kind == USER


@given(
    tables(),
    st.sampled_from((*USERS, *TOKENS)),
    st.sampled_from(PATHS),
    st.sampled_from(PRIVILEGES),
)
def test_every_recommended_way_helps_and_takes_nothing_from_anybody(
    table: AccessTable, who: str, path: str, privilege: str
) -> None:
    ways = recommended(table, who, path, privilege)
    assert bool(ways) is (least_privilege_grant(table, who, path, privilege) is not None)
    for way in ways:
        result = table.copy()
        apply_remediation(result, way)
        assert privilege in privileges(result, who, path)
        everybody = (*USERS, *TOKENS) if not way.remove else (who, who.partition("!")[0])
        for one in everybody:
            for place in PATHS:
                before = privileges(table, one, place).keys()
                assert before <= privileges(result, one, place).keys()


def test_a_separated_token_gets_the_pair() -> None:
    remedy = least_privilege_grant(_cluster(), "bob@pve!ci", "/vms/100", "VM.Audit")
    assert remedy is not None
    assert {(entry.kind, entry.principal) for entry in remedy.add} == {
        (TOKEN, "bob@pve!ci"),
        (USER, "bob@pve"),
    }
    (table,) = tomllib.loads(toml(remedy))["acl"]
    assert table == {"roles": ["Only-VM.Audit"], "paths": ["/vms/100"], "tokens": ["bob@pve!ci"]}
    assert pveum(remedy)[-1] == (
        "pveum acl modify /vms/100 --roles Only-VM.Audit --users bob@pve --tokens 'bob@pve!ci' "
        "--propagate 1"
    )


def test_a_token_whose_user_may_already_gets_only_its_own_half() -> None:
    table = _cluster()
    table.add_entry("/vms", USER, "bob@pve", "PVEVMAdmin", propagate=True)
    remedy = least_privilege_grant(table, "bob@pve!ci", "/vms/100", "VM.Audit")
    assert remedy is not None
    assert [entry.kind for entry in remedy.add] == [TOKEN]
    assert tomllib.loads(toml(remedy))["acl"][0]["pair"] is False


def test_no_access_on_a_pool_has_to_go_since_no_entry_on_the_guest_overrides_it() -> None:
    table = _cluster()
    table.pools["dev"] = PoolMembers(frozenset({100}))
    table.add_entry("/pool/dev", GROUP, "ops", "NoAccess", propagate=True)
    remedy = least_privilege_grant(table, "alice@ldap", "/vms/100", "VM.Audit")
    assert remedy is not None
    assert [(entry.path, entry.role) for entry in remedy.remove] == [("/pool/dev", "NoAccess")]
    assert remedy.others == ("ops",)
    assert not remedy.add
    assert pveum(remedy) == ("pveum acl delete /pool/dev --roles NoAccess --groups ops",)


def test_no_grant_is_offered_where_none_helps() -> None:
    assert least_privilege_grant(_cluster(), "bob@pve!none", "/vms/100", "VM.Audit") is None
    assert least_privilege_grant(_cluster(), "bob@pve", "/cluster", "Sys.Audit") is None
    assert least_privilege_grant(_cluster(), "root@pam", "/", "Sys.Audit") is None


@given(
    tables(),
    st.sampled_from((*USERS, *TOKENS, "ghost@pve")),
    st.sampled_from(PATHS),
    st.sampled_from(PRIVILEGES),
)
def test_the_smallest_grant_helps_costs_nothing_and_cannot_be_smaller(
    table: AccessTable, who: str, path: str, privilege: str
) -> None:
    remedy = least_privilege_grant(table, who, path, privilege)
    if privilege in privileges(table, who, path) or ("!" in who and who not in table.tokens):
        assert remedy is None
        return
    assert remedy is not None
    owner = who.partition("!")[0]
    result = _applied(table, remedy)
    held = privileges(table, who, path).keys()
    gained = privileges(result, who, path).keys() - held
    assert gained == {privilege, *remedy.extra}
    for one in (who, owner):
        for other in PATHS:
            assert privileges(result, one, other).keys() >= privileges(table, one, other).keys()
    if not remedy.remove:
        cut = NO_ACCESS in roles(table, who, path) or NO_ACCESS in roles(table, owner, path)
        assert remedy.extra == () or (cut and index_of(table).pools_of.get(path))
        members = {"/vms/100", "/vms/101", "/storage/local"} if path.startswith("/pool/") else set()
        for other in PATHS:
            new, old = privileges(result, who, other).keys(), privileges(table, who, other).keys()
            assert other == path or new - old <= ({privilege} if other in members else set())
    for part in (*remedy.add, *remedy.remove):
        less = _applied(table, remedy, without=part)
        helps = privilege in privileges(less, who, path)
        keeps = all(
            privileges(less, one, path).keys() >= privileges(table, one, path).keys()
            for one in (who, owner)
        )
        assert not (helps and keeps), part
    existing = with_existing_role(table, who, path, privilege)
    assert existing is not None
    assert privilege in privileges(_applied(table, existing), who, path)


def test_who_can_is_the_reverse() -> None:
    table = _cluster()
    found = who_can(table, "VM.Backup", "/vms/100")
    assert [(holder.principal, [e.path for e in holder.entries]) for holder in found] == [
        ("alice@ldap", ["/vms"]),
        ("root@pam", []),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Permission check failed (/vms/9000, VM.Audit)", ("/vms/9000", ("VM.Audit",))),
        (
            "500 create failed: 403 Permission check failed (/storage/local, "
            "Datastore.Audit|Datastore.AllocateSpace)\n",
            ("/storage/local", ("Datastore.Audit", "Datastore.AllocateSpace")),
        ),
        ("Permission check failed (, Pool.Allocate)", ("", ("Pool.Allocate",))),
        ("Permission check failed (pool 'dev' does not exist)", None),
        ("Permission check failed", None),
        ("no such user ('x')", None),
    ],
)
def test_a_pasted_refusal_is_understood(
    text: str, expected: tuple[str, tuple[str, ...]] | None
) -> None:
    assert parse_refusal(text) == expected
