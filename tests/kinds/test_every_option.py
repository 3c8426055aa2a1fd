"""On the embedded Proxmox VE: every option is set, changed and cleared; a second plan is empty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from reconciler.desired.schema.state_schema import schema
from reconciler.kinds import all_kinds
from reconciler.model.api import Api
from reconciler.pve.backup_options import JOB_OPTIONS, VZDUMP_OPTIONS
from reconciler.pve.option_descriptions import option_descriptions
from reconciler.pve.realm_options import REALM_OPTIONS, REALM_TYPES
from reconciler.pve.schema import Param, ParameterTable, secret_names
from reconciler.pve.sections import SectionType
from reconciler.pve.storage_options import STORAGE_OPTIONS, STORAGE_TYPES
from reconciler.sandbox.http.direct import SandboxApi
from tests.kinds.samples import NODE, declared, fresh_folder, live, reach

FINGERPRINTS = [":".join([pair] * 32) for pair in ("ab", "CD")]
VALUES: dict[str, list[Any]] = {
    "blocksize": ["8k", "16k"],
    "bwlimit": [{"clone": 10, "default": 20}, {"clone": 5}],
    "content-dirs": [{"backup": "dump"}, {"iso": "images/iso", "backup": "b"}],
    "exclude-path": [["/cache/?*"], ["/var/log", "/a"]],
    "fingerprint": FINGERPRINTS,
    "fleecing": [{"enabled": True, "storage": "local-lvm"}, {"enabled": False}],
    "iscsiprovider": ["LIO", "comstar"],
    "group_classes": [["posixGroup"], ["b", "a"]],
    "monhost": [["192.0.2.1", "192.0.2.2"], ["192.0.2.3"]],
    "nodes": [[NODE], ["other", NODE]],
    "notes-template": ["{{guestname}}", "{{vmid}}\\nbye"],
    "performance": [{"max_workers": 8}, {"pbs_entries_max": 2000, "max_workers": 2}],
    "sync-defaults-options": [{"scope": "both", "enable_new": True}, {"remove_vanished": "acl"}],
    "sync_attributes": ["email=mail", "email=mail,firstname=givenName"],
    "tfa": [{"type": "oath", "digits": 6}, {"type": "oath", "step": 60}],
    "user_classes": [["person"], ["user", "person"]],
}
BY_FORMAT: dict[str, list[Any]] = {
    "address": ["a.example.invalid", "192.0.2.9"],
    "email-or-username-list": [["a@example.invalid", "root"], ["b@example.invalid"]],
    "pve-node": [NODE, "other"],
    "pve-storage-id": ["local", "other"],
    "pve-storage-path": ["/a", "/b"],
    "pve-storage-portal-dns": ["192.0.2.1", "192.0.2.2"],
    "pve-storage-server": ["a.example.invalid", "b.example.invalid"],
    "pve-storage-vgname": ["vg1", "vg2"],
    "pve-volume-id": ["local:base", "local:other"],
}


def values(name: str, param: Param) -> list[Any]:
    """Two different values of an option as they stand in a state file."""
    if param.type == "boolean":
        return [True, False]
    if name in VALUES and param.type != "integer":
        return VALUES[name]
    if param.enum:
        chosen = [value for value in param.enum if value not in {"0", "1"}][:2]
        return [int(value) for value in chosen] if param.type == "integer" else chosen
    if param.type == "integer":
        return [(param.minimum or 0) + 3, (param.minimum or 0) + 4]
    return BY_FORMAT.get(param.format, ["first", "second"])


@pytest.mark.parametrize(
    ("kind", "table"),
    [("storage", STORAGE_OPTIONS), ("realm", REALM_OPTIONS), ("backup", JOB_OPTIONS)],
)
def test_the_schema_takes_every_value_and_describes_every_option(
    kind: str, table: ParameterTable
) -> None:
    assert sorted(option_descriptions(kind)) == sorted(table)
    checker = Draft202012Validator(schema())
    secrets, fields = secret_names(table), set(all_kinds()[kind].toml.table.model_fields)
    for option, param in table.items():
        name = option.replace("-", "_")
        if option in secrets or name not in fields - {"exclude"}:
            continue
        for value in (*values(option, param), "${variable}"):
            if value == "${variable}" and not (param.type == "string" and param.enum):
                continue
            row = {name: value} | ({"schedule": "1:00"} if kind == "backup" else {})
            errors = [error.message for error in checker.iter_errors({kind: {"x1": row}})]
            assert errors == [], (option, value)


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return SandboxApi(fresh_folder(tmp_path / "pve"))


def storage_table(kind: str) -> dict[str, Any]:
    """The smallest table that makes a storage of this type; nothing is reached over a network."""
    section = STORAGE_TYPES[kind].section
    table: dict[str, Any] = {"type": kind, "disable": True}
    for name in sorted(section.required):
        if not (name == "path" and STORAGE_TYPES[kind].mounted):
            table[name.replace("-", "_")] = values(name, STORAGE_OPTIONS[name])[0]
    if kind == "esxi":
        table["password"] = {"env": "SECRET"}
    return table


def clearable(section: SectionType) -> list[str]:
    return sorted(section.optional - section.fixed - section.sensitive - {"disable"})


@pytest.mark.parametrize("kind", sorted(STORAGE_TYPES))
def test_options_of_a_storage_are_set_changed_and_cleared(api: Api, kind: str) -> None:
    """Unmanaged options stay as they are, so each one is cleared by name."""
    base = storage_table(kind)
    made = reach(api, "storage", "x1", declared("storage", "x1", base))
    section = STORAGE_TYPES[kind].section
    for option in clearable(section):
        if option == "prune-backups":
            tables: list[Any] = [{"keep": {"last": 3}}, {"keep": {"daily": 7, "weekly": 2}}]
        elif option == "content":
            offered = sorted(STORAGE_TYPES[kind].content - {"none"})
            tables = [{"content": offered}, {"content": offered[:1]}]
        elif option == "format":
            tables = [{"format": image} for image in sorted(STORAGE_TYPES[kind].formats)[:2]]
        else:
            found = values(option, STORAGE_OPTIONS[option])
            tables = [{option.replace("-", "_"): value} for value in found]
        for table in tables:
            reach(api, "storage", "x1", declared("storage", "x1", {**base, **table}))
        name = "keep" if option == "prune-backups" else option.replace("-", "_")
        cleared = declared("storage", "x1", {**base, "unset": [name]})
        assert _without_own(reach(api, "storage", "x1", cleared)) == _without_own(made)
    reach(api, "storage", "x1", None)


def _without_own(spec: Any) -> Any:
    """Without what Proxmox VE itself adds when a storage is made."""
    own = STORAGE_TYPES[spec.type].completed
    return spec.model_copy(
        update={"options": tuple(pair for pair in spec.options if pair[0] not in own)}
    )


@pytest.mark.parametrize("kind", ["ad", "ldap", "openid", "pam", "pve"])
def test_options_of_a_realm_are_set_changed_and_cleared(api: Api, kind: str) -> None:
    section = REALM_TYPES[kind]
    name = kind if kind in {"pam", "pve"} else "r1"
    base: dict[str, Any] = {"type": kind}
    for option in sorted(section.required):
        base[option.replace("-", "_")] = values(option, REALM_OPTIONS[option])[0]
    made = reach(api, "realm", name, declared("realm", name, base))
    for option in sorted(section.optional - section.fixed - {"password", "client-key"}):
        for value in values(option, REALM_OPTIONS[option]):
            reach(
                api,
                "realm",
                name,
                declared("realm", name, {**base, option.replace("-", "_"): value}),
            )
        assert reach(api, "realm", name, declared("realm", name, base)) == made
    for option in sorted(section.required):
        changed = {**base, option.replace("-", "_"): values(option, REALM_OPTIONS[option])[1]}
        reach(api, "realm", name, declared("realm", name, changed))


def test_options_of_a_realm_sync_job_are_set_changed_and_cleared(api: Api) -> None:
    ldap = {"type": "ldap", "server1": "a", "base_dn": "dc=x", "user_attr": "uid"}
    reach(api, "realm", "r1", declared("realm", "r1", ldap))
    base = {"schedule": "03:00"}
    made = reach(api, "realm_sync", "j1", declared("realm_sync", "j1", base, "r1"))
    for table in (
        {"schedule": "mon..fri 04:00"},
        {"scope": "users"},
        {"enabled": False},
        {"enable_new": False},
        {"comment": "nightly"},
        {"comment": "every night"},
        {"remove_vanished": ["acl"]},
        {"remove_vanished": ["entry", "acl", "properties"]},
    ):
        reach(api, "realm_sync", "j1", declared("realm_sync", "j1", {**base, **table}, "r1"))
        assert reach(api, "realm_sync", "j1", declared("realm_sync", "j1", base, "r1")) == made
    reach(api, "realm_sync", "j1", None)


def test_options_of_a_backup_job_are_set_changed_and_cleared(api: Api) -> None:
    base: dict[str, Any] = {"schedule": "02:30", "storage": "local", "guests": [9001]}
    made = reach(api, "backup", "j1", declared("backup", "j1", base))
    plain = sorted(set(VZDUMP_OPTIONS) - {"all", "exclude", "pool", "vmid", "prune-backups"})
    tables: list[dict[str, Any]] = [
        {option.replace("-", "_"): value}
        for option in plain
        if option not in {"dumpdir", "script", "tmpdir"}
        for value in values(option, VZDUMP_OPTIONS[option])
    ]
    tables += [
        {"schedule": "mon..fri 03:00"},
        {"enabled": False},
        {"comment": "nightly"},
        {"comment": "Nächtlich: 100 %"},
        {"repeat_missed": True},
        {"keep": {"last": 3}},
        {"keep": {"all": True}},
        {"guests": [9000, 9001]},
    ]
    for table in tables:
        reach(api, "backup", "j1", declared("backup", "j1", {**base, **table}))
        if "guests" not in table:
            assert reach(api, "backup", "j1", declared("backup", "j1", base)) == made


def test_a_backup_job_changes_between_all_ways_to_choose_guests(api: Api) -> None:
    reach(api, "pool", "p1", declared("pool", "p1", {"guests": [9001]}))
    reach(api, "pool", "p2", declared("pool", "p2", {}))
    ways: list[dict[str, Any]] = [
        {"guests": [9001]},
        {"guests": [9000, 9001]},
        {"pool": "p1"},
        {"pool": "p2"},
        {"all": True},
        {"all": True, "exclude": [9000]},
        {"all": True, "exclude": [9000, 9001]},
    ]
    for before in ways:
        for after in ways:
            for way in (before, after):
                table = {"schedule": "02:30", "storage": "local", **way}
                reach(api, "backup", "j1", declared("backup", "j1", table))


def test_members_and_comment_of_a_pool_are_set_changed_and_cleared(api: Api) -> None:
    for table in (
        {},
        {"comment": "Kinder: 1\n2"},
        {"comment": "x", "guests": [9000], "storages": ["local"]},
        {"guests": [9001], "storages": ["local", "local-lvm"]},
        {"comment": "y", "storages": ["local-lvm"]},
        {},
    ):
        reach(api, "pool", "p1", declared("pool", "p1", table))
    reach(api, "pool", "p1/a", declared("pool", "p1/a", {"guests": [9000, 9001]}))
    reach(api, "pool", "p1/a", None)
    reach(api, "pool", "p1", None)


def test_secrets_are_sent_once_and_never_seen(api: Api) -> None:
    table = {
        "type": "pbs",
        "server": "pbs.example.invalid",
        "datastore": "main",
        "username": "b@pbs",
        "password": {"env": "PBS"},
        "encryption_key": {"file": "key"},
        "master_pubkey": {"file": "pub"},
        "disable": True,
    }
    seen = reach(api, "storage", "pbs1", declared("storage", "pbs1", table))
    assert "s3cret" not in str(seen)
    openid = {
        "type": "openid",
        "issuer_url": "https://sso.example.invalid",
        "client_id": "pve",
        "client_key": {"env": "KEY"},
    }
    seen = reach(api, "realm", "sso", declared("realm", "sso", openid))
    assert "k3y" not in str(seen)
    assert live(api, "realm", "sso") == seen
