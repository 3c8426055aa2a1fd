"""What Proxmox VE was recorded to refuse is met in the state files, before anything is sent."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from reconciler.desired.loader import load
from reconciler.kinds import all_kinds
from reconciler.model.address import Address
from reconciler.model.finding import Severity
from tests.kinds.samples import change, declared

DATA = Path(__file__).parents[1] / "data" / "kinds" / "refused.json"
RECORDED: list[dict[str, Any]] = json.loads(DATA.read_text())

BY_READING_FIRST = re.compile(
    r"already exists|already defined|already a pool member|belongs already|not a pool member"
    r"|is not empty|does not exist|No such job|no such vzdump job|modified configuration"
)
"""pvectl plans from what is there, so it never asks for such things."""
NEVER_ASKED = re.compile(r"digest: property is not|delete: unknown option")
"""No declaration leads to such a request."""

Tables = dict[str, dict[str, Any]]


def is_in_files(recorded: dict[str, Any]) -> bool:
    refusal = recorded["refusal"]
    return (
        recorded["method"] == "POST"
        and "type: property is missing" not in refusal
        and (not BY_READING_FIRST.search(refusal) or "vmid" in recorded["params"])
    )


def as_table(recorded: dict[str, Any]) -> Tables:
    """The state file that would lead to this request."""
    params = dict(recorded["params"])
    kind = {"/pools": "pool", "/storage": "storage", "/access/domains": "realm"}.get(
        recorded["path"], "backup"
    )
    name = params.pop(
        {"pool": "poolid", "storage": "storage", "realm": "realm"}.get(kind, "id"), "x"
    )
    table: dict[str, Any] = {}
    for key, value in params.items():
        if key == "prune-backups":
            rules = dict(part.partition("=")[::2] for part in value.split(","))
            table["keep"] = {
                rule.removeprefix("keep-"): count == "1" if rule == "keep-all" else int(count)
                for rule, count in rules.items()
            }
        elif key in {"vmid", "exclude"}:
            table["guests" if key == "vmid" else key] = [int(guest) for guest in value.split(",")]
        elif key == "content":
            table[key] = value.split(",")
        else:
            table[key.replace("-", "_")] = bool(value) if key == "all" else value
    return {kind: {name: table}}


@pytest.mark.parametrize(
    "recorded", [r for r in RECORDED if is_in_files(r)], ids=lambda r: r["refusal"][-60:]
)
def test_a_refused_creation_is_a_mistake_with_a_place(
    recorded: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "state.toml").write_text(tomli_w.dumps(as_table(recorded)))
    findings = load(tmp_path).findings
    errors = [f for f in findings if f.severity is Severity.ERROR or f.code == "JOB_ID"]
    assert errors
    assert all(error.source and error.source.line for error in errors)


def test_every_other_recorded_refusal_cannot_come_up() -> None:
    """They name what is there or not there, or are tested one by one below."""
    unknown = (
        "property is not defined in schema and the schema does not allow additional properties"
    )
    below = {
        "type: property is missing and it is not optional",
        f"path: {unknown}",
        f"type: {unknown}",
        "update storage failed: unable to delete required option 'path'",
        "update storage failed: no such option 'foo'",
        "update storage failed: cannot set and delete property 'nodes' at the same time!",
    }
    rest = {
        r["refusal"]
        for r in RECORDED
        if not is_in_files(r)
        and not BY_READING_FIRST.search(r["refusal"])
        and not NEVER_ASKED.search(r["refusal"])
    }
    assert rest == below


def test_a_missing_storage_without_type_is_an_error_not_a_request() -> None:
    overlay = all_kinds()["storage"].writes.merge_with_live
    with pytest.raises(ValueError, match="does not exist; give it a type"):
        overlay(declared("storage", "x1", {"content": ["backup"]}), None)


@pytest.mark.parametrize(
    "table", [{"path": "/other"}, {"type": "nfs", "server": "a", "export": "/b"}]
)
def test_a_change_of_a_fixed_option_is_explained_and_refused(table: dict[str, Any]) -> None:
    kind = all_kinds()["storage"]
    usb = kind.writes.merge_with_live(
        declared("storage", "usb", {"type": "dir", "path": "/mnt/usb"}), None
    )
    wanted = change(
        "storage", "usb", usb, kind.writes.merge_with_live(declared("storage", "usb", table), usb)
    )
    entry = Address("acl", "/storage/usb|user:a@pve|R")
    acl = all_kinds()["acl"].spec()
    (volumes, finding) = kind.checks.change(wanted, {Address("storage", "usb"): usb, entry: acl})
    assert volumes.code == "VOLUMES_STAY"
    assert (finding.code, finding.severity, finding.allow) == (
        "REPLACE",
        Severity.ERROR,
        "REPLACE=storage.usb",
    )
    assert str(entry) in finding.message
    made = [(c.before is None, c.after is None) for c in kind.writes.split(wanted)]
    assert made == [(False, True), (True, False)]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"type": "dir", "path": "/x", "unset": ["path"]}, "given and unset"),
        ({"unset": ["foo"]}, "unknown option 'foo'"),
        ({"unset": ["nodes"], "nodes": ["a"]}, "given and unset"),
        ({"type": "cifs", "server": "a", "share": "b", "unset": ["share"]}, "given and unset"),
        ({"unset": ["password"]}, "cannot be read back"),
    ],
)
def test_what_cannot_be_unset_is_refused(table: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        declared("storage", "x1", table)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"unset": ["path"]}, "cannot be unset"),
        ({"vgname": "pve"}, "does not support the option vgname"),
        ({"content": ["images", "backup", "none"]}, "unable to combine"),
    ],
)
def test_what_does_not_fit_the_live_type_is_refused_in_the_plan(
    table: dict[str, Any], words: str
) -> None:
    kind = all_kinds()["storage"]
    usb = kind.writes.merge_with_live(
        declared("storage", "usb", {"type": "dir", "path": "/mnt/usb"}), None
    )
    with pytest.raises(ValueError, match=words):
        kind.writes.merge_with_live(declared("storage", "usb", table), usb)


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        ("realm", {"type": "ldap", "server1": "a", "base_dn": "", "user_attr": "uid"}),
        ("realm", {"type": "openid", "issuer_url": "", "client_id": "x"}),
        ("storage", {"type": "esxi", "server": "a", "username": "", "password": {"env": "P"}}),
        ("storage", {"type": "dir", "path": ""}),
        ("storage", {"content": []}),
        ("backup", {"schedule": "", "guests": [100]}),
    ],
)
def test_an_empty_required_option_is_never_sent(kind: str, table: dict[str, Any]) -> None:
    """Proxmox VE accepts some of them and cannot read its file from then on."""
    with pytest.raises(ValueError, match=r"empty|needs|must name"):
        declared(kind, "x1", table)
