"""Realms and realm-sync jobs of the embedded Proxmox VE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.pve.realm_options import REALM_OPTIONS, REALM_TYPES
from tests.support.pve import Pve

VALUES = {
    "bind_dn": "cn=reader",
    "group_name_attr": "cn",
    "mode": "ldaps",
    "port": "636",
    "server1": "192.0.2.1",
    "server2": "192.0.2.2",
    "sslversion": "tlsv1_3",
    "sync-defaults-options": "enable-new=1,scope=users",
    "sync_attributes": "email=mail",
    "tfa": "type=oath",
}
"""A value for each option that takes no plain text; booleans are 1."""

MADE = ("ad", "ldap", "openid")


def value_of(option: str) -> str:
    return "1" if REALM_OPTIONS[option].type == "boolean" else VALUES.get(option, "some")


@pytest.fixture
def pve(tmp_path: Path) -> Pve:
    return Pve(tmp_path)


def create(pve: Pve, kind: str, realm: str = "new", **more: Any) -> None:
    required = {f"{option}_": value_of(option) for option in REALM_TYPES[kind].required}
    pve.post("/access/domains", realm=realm, type=kind, **required, **more)


@pytest.mark.parametrize("kind", MADE)
def test_each_changeable_option_can_be_set_and_cleared(pve: Pve, kind: str) -> None:
    create(pve, kind)
    before = {**pve.get("/access/domains/new"), "digest": ""}
    for option in REALM_TYPES[kind].changeable:
        if option == "password":
            continue
        pve.put("/access/domains/new", **{f"{option}_": value_of(option)})
        assert option in pve.get("/access/domains/new")
        if option in REALM_TYPES[kind].optional:
            pve.put("/access/domains/new", delete=option)
            assert option not in pve.get("/access/domains/new")
    assert {**pve.get("/access/domains/new"), "digest": ""} == before


@pytest.mark.parametrize("kind", MADE)
def test_a_required_option_cannot_be_deleted(pve: Pve, kind: str) -> None:
    create(pve, kind)
    for option in sorted(REALM_TYPES[kind].required):
        missing = f"section 'new' - missing value for required option '{option}'"
        refused = pve.refusal("PUT", "/access/domains/new", delete=option)
        assert refused == f"500 update auth server failed: {missing}"


def test_a_username_claim_is_for_creation_only(pve: Pve) -> None:
    create(pve, "openid", username_claim="email")
    assert pve.get("/access/domains/new")["username-claim"] == "email"
    refused = pve.refusal("PUT", "/access/domains/new", username_claim="email")
    assert refused.startswith("400 Parameter verification failed.; username-claim: property is not")


@pytest.mark.parametrize("kind", ["ad", "ldap"])
def test_a_password_lies_in_a_file_of_its_own(pve: Pve, kind: str) -> None:
    create(pve, kind, password="hidden")
    assert pve.text("priv/realm/new.pw") == "hidden"
    assert "hidden" not in str(pve.get("/access/domains/new")) + pve.text("domains.cfg")
    pve.put("/access/domains/new", password="other")
    assert pve.text("priv/realm/new.pw") == "other"
    pve.put("/access/domains/new", comment="kept")
    assert pve.text("priv/realm/new.pw") == "other"
    pve.put("/access/domains/new", delete="password")
    assert pve.text("priv/realm/new.pw") == ""


def test_one_realm_is_the_default(pve: Pve) -> None:
    create(pve, "ldap", "first", default=1)
    create(pve, "ldap", "second", default=1)
    pve.put("/access/domains/pam", default=1)
    marked = [row["realm"] for row in pve.get("/access/domains") if row.get("default")]
    assert marked == ["pam"]


def test_built_in_realms_come_back_with_their_comment(pve: Pve) -> None:
    pve.put("/access/domains/pve", comment="our own")
    pve.put("/access/domains/pve", delete="comment")
    pve.delete("/access/domains/pam")
    rows = {row["realm"]: row["comment"] for row in pve.get("/access/domains")}
    assert rows == {
        "pam": "Linux PAM standard authentication",
        "pve": "Proxmox VE authentication server",
    }
    assert "pam: pam" not in pve.text("domains.cfg")


def test_sync_defaults_are_sorted_and_lose_their_old_names(pve: Pve) -> None:
    create(pve, "ldap", sync_defaults_options="scope=both,purge=1,full=1,enable-new=0")
    shown = pve.get("/access/domains/new")["sync-defaults-options"]
    assert shown == "enable-new=0,remove-vanished=entry;properties;acl,scope=both"


def test_a_comment_is_encoded_in_the_file(pve: Pve) -> None:
    create(pve, "ldap", comment="Größe: 1")
    assert "comment Gr%C3%B6%C3%9Fe%3A 1" in pve.text("domains.cfg")
    assert pve.get("/access/domains/new")["comment"] == "Größe: 1"


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({"realm": "pam", "type": "ldap"}, "domain 'pam' already exists"),
        ({"realm": "x1", "type": "pve"}, "unable to create builtin type 'pve'"),
        (
            {"realm": "x1", "type": "openid", "check_connection": 1},
            "'check-connection' parameter can only be set for realms of type 'ldap' or 'ad'",
        ),
        ({"realm": "x1", "type": "openid", "base_dn_": "x"}, "unexpected property 'base_dn'"),
        (
            {
                "realm": "x1",
                "type": "ldap",
                "server1": "ldap.example.invalid",
                "base_dn_": "x",
                "user_attr_": "uid",
                "check_connection": 1,
            },
            "Temporary failure in name resolution",
        ),
    ],
)
def test_realms_that_are_refused(pve: Pve, given: dict[str, Any], refusal: str) -> None:
    refused = pve.refusal("POST", "/access/domains", **given)
    assert refused == f"500 add auth server failed: {refusal}"
    assert pve.text("domains.cfg") == ""


def test_nothing_to_update_is_refused(pve: Pve) -> None:
    create(pve, "ldap")
    assert pve.refusal("PUT", "/access/domains/new").endswith("no options specified")
    assert pve.refusal("PUT", "/access/domains/nope", comment="x").endswith(
        "domain 'nope' does not exist"
    )
    assert pve.refusal("DELETE", "/access/domains/nope").endswith(
        "authentication domain 'nope' does not exist"
    )


def test_an_empty_required_option_blocks_every_later_write(pve: Pve) -> None:
    create(pve, "ldap")
    pve.put("/access/domains/new", base_dn_="")
    (row,) = [row for row in pve.get("/access/domains") if row["realm"] == "new"]
    assert row == {"realm": "new", "type": None}
    assert pve.refusal("GET", "/access/domains/new") == "500 domain 'new' does not exist"
    assert pve.refusal("PUT", "/access/domains/pve", comment="x").endswith(
        "unknown section type ''"
    )
    assert pve.refusal("DELETE", "/access/domains/new").endswith("unknown section type ''")


def test_a_sync_is_a_task_that_finds_no_server(pve: Pve) -> None:
    create(pve, "ldap")
    create(pve, "openid", "sso")
    assert "scope: Not passed as" in pve.refusal("POST", "/access/domains/new/sync")
    assert "Cannot sync realm type 'openid'" in pve.refusal("POST", "/access/domains/sso/sync")
    assert "Realm does not exist." in pve.refusal("POST", "/access/domains/nope/sync")
    upid = pve.post("/access/domains/new/sync", scope="both", dry_run=1)
    status = pve.get(f"/nodes/demo-felhom/tasks/{upid}/status")
    assert (status["type"], status["id"]) == ("auth-realm-sync-test", "new")
    assert status["exitstatus"] != "OK"


SYNC = "/cluster/jobs/realm-sync"


def test_a_sync_job_is_made_changed_and_deleted(pve: Pve) -> None:
    create(pve, "ldap")
    pve.post(f"{SYNC}/weekly", realm="new", schedule="sat 02:00", scope="users", comment="a: b")
    lines = ["realm-sync: weekly", "comment a%3A b", "realm new", "schedule sat 02:00"]
    assert pve.text("jobs.cfg").split("\n\t")[:4] == lines
    (row,) = pve.get(SYNC)
    assert (row["id"], row["enabled"], row["last-run"]) == ("weekly", 1, None)
    assert row["next-run"] > pve.now
    pve.put(f"{SYNC}/weekly", schedule="daily", enabled=0, delete="comment")
    assert pve.get(f"{SYNC}/weekly") == {
        "type": "realm-sync",
        "realm": "new",
        "schedule": "daily",
        "scope": "users",
        "enabled": 0,
    }
    pve.put(f"{SYNC}/weekly", schedule="daily", delete="enabled")
    assert pve.get(f"{SYNC}/weekly")["enabled"] == 1
    pve.delete(f"{SYNC}/weekly")
    assert pve.get(SYNC) == []


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({"realm": "new", "scope": "users"}, "400 Parameter verification failed.; schedule: "),
        ({"realm": "new", "schedule": "daily"}, "500 missing value for required option 'scope'"),
        ({"realm": "pve", "schedule": "daily", "scope": "users"}, "500 400 Parameter"),
        ({"realm": "nope", "schedule": "daily", "scope": "users"}, "500 400 Parameter"),
    ],
)
def test_sync_jobs_that_are_refused(pve: Pve, given: dict[str, str], refusal: str) -> None:
    create(pve, "ldap")
    assert pve.refusal("POST", f"{SYNC}/weekly", **given).startswith(refusal)
    assert pve.text("jobs.cfg") == ""


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        (
            {"delete": "comment"},
            "400 Parameter verification failed.; schedule: property is missing",
        ),
        ({"schedule": "daily", "delete": "scope"}, "500 unable to delete required option 'scope'"),
        ({"schedule": "daily", "delete": "foo"}, "500 no such option 'foo'"),
        (
            {"schedule": "daily", "delete": "comment", "comment": "x"},
            "500 cannot set and delete property 'comment' at the same time!",
        ),
        ({"schedule": "daily", "realm": "new"}, "400 Parameter verification failed.; realm: "),
    ],
)
def test_changes_of_a_sync_job_that_are_refused(
    pve: Pve, given: dict[str, str], refusal: str
) -> None:
    create(pve, "ldap")
    pve.post(f"{SYNC}/weekly", realm="new", schedule="daily", scope="users")
    before = pve.text("jobs.cfg")
    assert pve.refusal("PUT", f"{SYNC}/weekly", **given).startswith(refusal)
    assert pve.text("jobs.cfg") == before


def test_a_missing_sync_job_has_three_answers(pve: Pve) -> None:
    assert pve.refusal("GET", f"{SYNC}/nope") == (
        "400 Parameter verification failed.; id: No such job 'nope'"
    )
    assert pve.refusal("PUT", f"{SYNC}/nope", schedule="daily") == "500 no such realm-sync job"
    assert pve.refusal("DELETE", f"{SYNC}/nope") == "500 400 Parameter verification failed."
