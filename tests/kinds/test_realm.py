from __future__ import annotations

from typing import Any

import pytest

from reconciler.kinds import all_kinds
from reconciler.kinds.realm.table import RealmSpec
from reconciler.model.address import Address
from reconciler.model.change import Undo
from reconciler.model.request import request
from reconciler.model.secret import SecretRef
from reconciler.model.spec import Spec
from tests.kinds.samples import carried, change, declared, requests

KIND = all_kinds()["realm"]
SYNC = all_kinds()["realm_sync"]
LDAP = {"type": "ldap", "server1": "ldap.example.com", "base_dn": "dc=x", "user_attr": "uid"}
OPENID = {"type": "openid", "issuer_url": "https://sso.example.com", "client_id": "pve"}


def spec(name: str, **table: Any) -> RealmSpec:
    found = declared("realm", name, table)
    assert isinstance(found, RealmSpec)
    return found


def seen(name: str, **answer: Any) -> RealmSpec:
    """A realm as PVE answers it."""
    index = request("GET", "access", "domains")
    detail = request("GET", "access", "domains", name)
    rows = [{"realm": name, "type": answer["type"]}]
    ((_, found),) = KIND.reads.parse({index: rows, detail: answer})
    assert isinstance(found, RealmSpec)
    return found


def test_what_is_not_declared_is_cleared() -> None:
    live = seen("ldap", **LDAP, comment="old", secure=1, verify=0)
    after = KIND.writes.merge_with_live(spec("ldap", **LDAP, comment="new"), live)
    assert requests(change("realm", "ldap", live, after)) == [
        ("PUT", "/access/domains/ldap", {"comment": "new", "delete": "secure"})
    ]


def test_built_in_realms_take_options_and_stay() -> None:
    live = seen("pam", type="pam", comment="Linux PAM standard authentication", plugin="x")
    assert KIND.writes.merge_with_live(spec("pam"), live) == live
    after = KIND.writes.merge_with_live(spec("pam", comment="People", default=True), live)
    assert requests(change("realm", "pam", live, after)) == [
        ("PUT", "/access/domains/pam", {"comment": "People", "default": "1"})
    ]
    assert KIND.reads.is_builtin("pam", live)
    assert KIND.reads.builtin_ids == {"pam", "pve"}


def test_a_new_default_takes_it_from_the_old_one_in_the_same_request() -> None:
    old = spec("ra", **LDAP, default=True)
    new = spec("rb", **OPENID)
    live: dict[Address, Spec] = {Address("realm", "ra"): old, Address("realm", "rb"): new}
    gains = change("realm", "rb", new, spec("rb", **OPENID, default=True))
    (loses,) = KIND.writes.coupled_changes(gains, live)
    assert loses.address == Address("realm", "ra")
    ((sent, changes),) = carried(gains, loses)
    assert (sent.target, dict(sent.params)) == ("/access/domains/rb", {"default": "1"})
    assert [c.address.id for c in changes] == ["rb", "ra"]
    ((back, undone),) = carried(*[c.inverse() for c in reversed(changes)])
    assert (back.target, dict(back.params)) == ("/access/domains/ra", {"default": "1"})
    assert {c.address.id for c in undone} == {"ra", "rb"}


def test_an_old_default_that_changes_otherwise_gets_its_own_request_afterwards() -> None:
    loses = change("realm", "ra", spec("ra", **LDAP, default=True), spec("ra", **LDAP, comment="x"))
    gains = change("realm", "rb", spec("rb", **OPENID), spec("rb", **OPENID, default=True))
    assert requests(loses, gains) == [
        ("PUT", "/access/domains/rb", {"default": "1"}),
        ("PUT", "/access/domains/ra", {"comment": "x"}),
    ]


def test_two_defaults_are_a_mistake() -> None:
    desired: dict[Address, Spec] = {
        Address("realm", "ra"): spec("ra", **LDAP, default=True),
        Address("realm", "rb"): spec("rb", **OPENID, default=True),
    }
    found = [
        f.code for a, s in desired.items() for f in KIND.checks.declared_object(a.id, s, desired)
    ]
    assert found == ["REALM_DEFAULT_TWICE"]


def test_passwords_and_client_keys_are_references_and_never_read() -> None:
    table = {**OPENID, "client_key": {"env": "KEY"}}
    made = KIND.writes.merge_with_live(spec("sso", **table), None)
    ((_, _, params),) = requests(change("realm", "sso", None, made))
    assert params["client-key"] == SecretRef(env="KEY")
    answer = {"type": "openid", "issuer-url": "https://sso.example.com", "client-id": "pve"}
    live = seen("sso", **answer, **{"client-key": "t0psecret"})
    assert "t0psecret" not in str(live)
    assert (
        KIND.writes.merge_with_live(spec("sso", **table), live) == live == KIND.reads.as_read(made)
    )
    without = seen("sso", **answer)
    after = KIND.writes.merge_with_live(spec("sso", **table), without)
    assert requests(change("realm", "sso", without, after)) == [
        ("PUT", "/access/domains/sso", {"client-key": SecretRef(env="KEY")})
    ]


def test_a_yubico_key_is_left_alone() -> None:
    live = seen("ldap", **LDAP, tfa="type=yubico,id=1,key=s3cret")
    assert "s3cret" not in str(live)
    assert KIND.writes.merge_with_live(spec("ldap", **LDAP), live) == live
    with pytest.raises(ValueError, match="tfa holds a secret key"):
        spec("ldap", **LDAP, tfa={"type": "yubico", "id": "1", "key": "k"})


def test_the_type_and_the_username_claim_are_replaced_only_when_allowed() -> None:
    live = seen("sso", type="openid", **{"issuer-url": "https://a", "client-id": "b"})
    table = {"type": "openid", "issuer_url": "https://a", "client_id": "b"}
    wanted = change(
        "realm",
        "sso",
        live,
        KIND.writes.merge_with_live(spec("sso", **table, username_claim="upn"), live),
    )
    user: dict[Address, Spec] = {Address("user", "kim@sso"): all_kinds()["user"].spec()}
    (finding,) = KIND.checks.change(wanted, user)
    assert finding.allow == "REPLACE=realm.sso"
    assert "user.kim@sso" not in finding.message, "Proxmox VE keeps the users of a realm"
    assert [sent[0] for sent in requests(wanted)] == ["DELETE", "POST"]


def test_a_realm_with_a_bind_password_does_not_come_back() -> None:
    bound = seen("ldap", **LDAP, bind_dn="cn=x")
    assert KIND.writes.undo(change("realm", "ldap", bound, None)) is Undo.NONE
    assert KIND.writes.undo(change("realm", "ldap", seen("ldap", **LDAP), None)) is Undo.FULL


def test_a_realm_that_proxmox_cannot_read_is_explained() -> None:
    index = request("GET", "access", "domains")
    rows = {index: [{"realm": "rr", "type": None}]}
    assert KIND.reads.details(rows, frozenset()) == ()
    ((_, broken),) = KIND.reads.parse(rows)
    with pytest.raises(ValueError, match="cannot read this realm"):
        KIND.writes.merge_with_live(spec("rr", **LDAP), broken)


@pytest.mark.parametrize(
    ("name", "table", "words"),
    [
        ("x", LDAP, "valid realm"),
        ("a" * 33, LDAP, "longer than 32"),
        ("pve", {"type": "ldap"}, "built into"),
        ("new", {}, "needs a type"),
        ("new", {"type": "pam"}, "unable to create builtin type"),
        ("new", {**LDAP, "prot": 389}, "prot"),
        ("new", {**LDAP, "port": 70000}, "maximum value"),
        ("new", {**LDAP, "issuer_url": "https://a"}, "does not support the option issuer_url"),
        ("new", {**LDAP, "mode": "tls"}, "enumeration"),
        ("new", {**LDAP, "server1": "a b"}, "valid address"),
        ("new", {**LDAP, "comment": "0"}, "treats '0' as empty"),
        ("new", {**LDAP, "comment": "x" * 4097}, "4096"),
        ("new", {**LDAP, "sync_attributes": "mail"}, "regex"),
        ("new", {**LDAP, "password": "plain"}, "SecretRef"),
        ("new", {**OPENID, "scopes": "a\nb"}, "newline"),
    ],
)
def test_mistakes_of_a_table(name: str, table: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        spec(name, **table)


def test_a_sync_job_sends_its_schedule_with_every_change() -> None:
    before = declared("realm_sync", "nightly", {"schedule": "03:00"}, "ldap")
    after = declared(
        "realm_sync", "nightly", {"schedule": "03:00", "remove_vanished": ["entry", "acl"]}, "ldap"
    )
    wanted = change("realm_sync", "nightly", before, after)
    assert requests(wanted) == [
        (
            "PUT",
            "/cluster/jobs/realm-sync/nightly",
            {"schedule": "03:00", "remove-vanished": "acl;entry"},
        )
    ]
    assert requests(wanted.inverse()) == [
        (
            "PUT",
            "/cluster/jobs/realm-sync/nightly",
            {"schedule": "03:00", "delete": "remove-vanished"},
        )
    ]


def test_a_sync_job_of_another_realm_is_recreated() -> None:
    before = declared("realm_sync", "nightly", {"schedule": "03:00"}, "ldap")
    after = declared("realm_sync", "nightly", {"schedule": "03:00"}, "ad")
    assert [sent[0] for sent in requests(change("realm_sync", "nightly", before, after))] == [
        "DELETE",
        "POST",
    ]
    assert list(SYNC.links.owners("nightly", after)) == [Address("realm", "ad")]


def test_a_backup_job_and_a_sync_job_cannot_have_one_id() -> None:
    job = declared("realm_sync", "nightly", {"schedule": "03:00"}, "ldap")
    backup = declared("backup", "nightly", {"schedule": "03:00", "all": True})
    here, there = Address("realm_sync", "nightly"), Address("backup", "nightly")
    assert [f.code for f in SYNC.checks.declared_object("nightly", job, {there: backup})] == [
        "JOB_ID_TWICE"
    ]
    made = change("realm_sync", "nightly", None, job)
    assert [f.code for f in SYNC.checks.change(made, {there: backup})] == ["JOB_ID_TWICE"]
    refuse = all_kinds()["backup"].checks.change
    found = refuse(change("backup", "nightly", None, backup), {here: job})
    assert [f.code for f in found] == ["JOB_ID_TWICE"]


def test_only_directories_can_be_synced() -> None:
    job = declared("realm_sync", "nightly", {"schedule": "03:00"}, "sso")
    state: dict[Address, Spec] = {Address("realm", "sso"): spec("sso", **OPENID)}
    made = change("realm_sync", "nightly", None, job)
    assert [f.code for f in SYNC.checks.declared_object("nightly", job, state)] == [
        "REALM_NOT_SYNCED"
    ]
    assert [f.code for f in SYNC.checks.change(made, state)] == ["REALM_NOT_SYNCED"]
    assert not list(SYNC.checks.change(made, {Address("realm", "sso"): spec("ldap", **LDAP)}))


@pytest.mark.parametrize(
    ("name", "table", "words"),
    [
        ("a.b", {"schedule": "03:00"}, "invalid configuration ID"),
        ("a" * 65, {"schedule": "03:00"}, "longer than 64"),
        ("a1", {}, "schedule"),
        ("a1", {"schedule": "nonsense"}, "unable to parse calendar event"),
        ("a1", {"schedule": "03:00", "scope": "all"}, "scope"),
        ("a1", {"schedule": "03:00", "comment": "a\nb"}, "newline"),
        ("a1", {"schedule": "03:00", "comment": "x" * 513}, "512"),
        ("a1", {"schedule": "03:00", "remove_vanished": ["none"]}, "remove_vanished"),
    ],
)
def test_mistakes_of_a_sync_job(name: str, table: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        declared("realm_sync", name, table, "ldap")
