"""Storages of the embedded Proxmox VE: every type and option, secrets, and how writes go wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.pve.storage_options import STORAGE_OPTIONS, STORAGE_TYPES
from tests.support.pve import Pve

_FINGERPRINT = ":".join(["ab"] * 32)

VALUES = {
    "base": "san:0.0.0.scsi-1",
    "blocksize": "8k",
    "bwlimit": "clone=100",
    "content-dirs": "backup=saved",
    "datastore": "main",
    "encryption-key": json.dumps({"data": "x", "fingerprint": "aa:bb"}),
    "export": "/vol1",
    "fingerprint": _FINGERPRINT,
    "format": "raw",
    "fs-name": "cephfs",
    "iscsiprovider": "LIO",
    "master-pubkey": "QUJD",
    "max-protected-backups": "3",
    "monhost": "192.0.2.1",
    "mountpoint": "/mnt/z",
    "nodes": "demo-felhom",
    "options": "vers=4.2",
    "path": "/mnt/x",
    "port": "8000",
    "portal": "192.0.2.1",
    "preallocation": "off",
    "prune-backups": "keep-last=3",
    "saferemove-stepsize": "16",
    "server": "192.0.2.1",
    "smbversion": "3.11",
    "subdir": "/sub",
    "zfs-base-path": "/dev/zvol",
}
"""A value for each option that takes no plain text; booleans are 1."""


def value_of(option: str, kind: str) -> str:
    if option == "content":
        return ",".join(sorted(STORAGE_TYPES[kind].default_content))
    return "1" if STORAGE_OPTIONS[option].type == "boolean" else VALUES.get(option, "some")


@pytest.fixture
def pve(tmp_path: Path) -> Pve:
    return Pve(tmp_path)


def create(pve: Pve, kind: str, **more: str) -> None:
    """The least that the type needs, and switched off."""
    required = {option: value_of(option, kind) for option in STORAGE_TYPES[kind].section.required}
    if kind == "esxi":
        required["password"] = "secret"
    given = {**required, "disable": "1", **more}
    pve.post("/storage", storage="new", type=kind, **{f"{key}_": given[key] for key in given})


@pytest.mark.parametrize("kind", sorted(STORAGE_TYPES))
def test_each_type_is_made_with_its_required_options_and_shows_its_defaults(
    pve: Pve, kind: str
) -> None:
    create(pve, kind)
    shown = pve.get("/storage/new")
    assert set(shown["content"].split(",")) == STORAGE_TYPES[kind].default_content
    assert shown.get("shared") == (1 if STORAGE_TYPES[kind].shared else None)
    assert shown["disable"] == 1


@pytest.mark.parametrize("kind", sorted(STORAGE_TYPES))
def test_each_required_option_is_missed(pve: Pve, kind: str) -> None:
    section = STORAGE_TYPES[kind].section
    filled = {"path"} if STORAGE_TYPES[kind].mounted else set()
    for option in sorted(section.required - filled):
        given = {key: value_of(key, kind) for key in section.required - {option}}
        refused = pve.refusal(
            "POST", "/storage", storage="new", type=kind, **{f"{k}_": given[k] for k in given}
        )
        assert refused == f"500 missing value for required option '{option}'"


@pytest.mark.parametrize("kind", sorted(STORAGE_TYPES))
def test_each_changeable_option_can_be_set_and_cleared(pve: Pve, kind: str) -> None:
    create(pve, kind)
    section = STORAGE_TYPES[kind].section
    before = {**pve.get("/storage/new"), "digest": "", "content": ""}
    for option in section.changeable:
        if option in section.sensitive or option == "content":
            continue
        pve.put("/storage/new", **{f"{option}_": value_of(option, kind)})
        if option != "format" or STORAGE_TYPES[kind].formats:
            assert option in pve.get("/storage/new")
        if option not in section.required:
            pve.put("/storage/new", delete=option)
            assert option not in pve.get("/storage/new")
    pve.put("/storage/new", disable=1)
    for option in STORAGE_TYPES[kind].completed:
        del before[option]
    assert {**pve.get("/storage/new"), "digest": "", "content": ""} == before


@pytest.mark.parametrize("kind", sorted(STORAGE_TYPES))
def test_a_fixed_option_is_refused_even_unchanged(pve: Pve, kind: str) -> None:
    create(pve, kind)
    section = STORAGE_TYPES[kind].section
    others = {name for name, other in STORAGE_TYPES.items() if name != kind}
    for option in sorted(section.fixed):
        known = any(option in STORAGE_TYPES[other].section.changeable for other in others)
        refused = pve.refusal("PUT", "/storage/new", **{f"{option}_": value_of(option, kind)})
        fixed = f"500 update storage failed: can't change value of fixed parameter '{option}'"
        unknown = f"400 Parameter verification failed.; {option}: property is not defined in schema"
        assert refused.startswith(fixed if known else unknown)


def test_an_option_of_another_type_is_unexpected(pve: Pve) -> None:
    create(pve, "dir")
    refused = pve.refusal("PUT", "/storage/new", krbd=1)
    assert refused == "500 update storage failed: unexpected property 'krbd'"


@pytest.mark.parametrize(
    ("kind", "given", "file", "content"),
    [
        ("cifs", {"password": "pw"}, "priv/storage/new.pw", "password=pw\n"),
        ("pbs", {"password": "pw"}, "priv/storage/new.pw", "pw\n"),
        ("esxi", {"password": "pw"}, "priv/storage/new.pw", "pw"),
        ("rbd", {"keyring": "key"}, "priv/ceph/new.keyring", "key\n"),
        ("cephfs", {"keyring": "key"}, "priv/ceph/new.secret", "key\n"),
    ],
)
def test_secrets_lie_in_files_of_their_own(
    pve: Pve, kind: str, given: dict[str, str], file: str, content: str
) -> None:
    create(pve, kind, **given)
    assert pve.text(file) == content
    (option,) = given
    assert option not in pve.get("/storage/new")
    assert content.strip() not in pve.text("storage.cfg")
    pve.put("/storage/new", **{option: "other"})
    assert "other" in pve.text(file)
    pve.put("/storage/new", delete=option)
    assert pve.text(file) == ""
    pve.put("/storage/new", **{option: "again"})
    pve.delete("/storage/new")
    assert pve.text(file) == ""


def test_a_key_that_the_server_makes_is_answered_once(pve: Pve) -> None:
    create(pve, "pbs")
    made = pve.put("/storage/new", encryption_key="autogen")["config"]["encryption-key"]
    shown = pve.get("/storage/new")["encryption-key"]
    assert shown == json.loads(made)["fingerprint"]
    assert pve.text("priv/storage/new.enc") == made + "\n"
    assert pve.put("/storage/new", port=8008)["config"] == {}
    pve.put("/storage/new", delete="encryption-key")
    assert pve.text("priv/storage/new.enc") == ""
    assert "encryption-key" not in pve.get("/storage/new")


def test_keys_that_make_no_sense_are_refused(pve: Pve) -> None:
    pbs = {"storage": "new", "type": "pbs", "server": "192.0.2.1", "datastore": "main"}
    refused = pve.refusal("POST", "/storage", **pbs, password="pw", encryption_key="{}")
    wrong = "Value does not seems like a valid, JSON formatted encryption key!"
    assert refused == f"500 create storage failed: {wrong}"
    assert pve.text("priv/storage/new.pw") == "pw\n"
    alone = "'master-pubkey' can only be used together with 'encryption-key'"
    assert alone in pve.refusal("POST", "/storage", **pbs, master_pubkey="QUJD")


@pytest.mark.parametrize(
    ("kind", "more", "why"),
    [
        ("nfs", {"export": "/vol1"}, "storage 'new' is not online"),
        ("cifs", {"share": "s", "password": "pw"}, "storage 'new' is not online"),
        ("pbs", {"datastore": "d", "password": "pw"}, "error fetching datastores - 500 Can't"),
    ],
)
def test_a_server_that_cannot_be_reached_leaves_nothing_behind(
    pve: Pve, kind: str, more: dict[str, str], why: str
) -> None:
    before = pve.text("storage.cfg")
    given = {"storage": "new", "type": kind, "server": "nas.example.invalid", **more}
    assert why in pve.refusal("POST", "/storage", **given)
    assert pve.text("storage.cfg") == before
    assert pve.text("priv/storage/new.pw") == ""
    pve.post("/storage", **given, nodes="elsewhere")


def test_an_empty_required_option_blocks_every_later_write(pve: Pve) -> None:
    create(pve, "esxi")
    pve.put("/storage/new", username="")
    assert "new" not in [row["storage"] for row in pve.get("/storage")]
    blocked = "500 update storage failed: unknown section type ''"
    assert pve.refusal("PUT", "/storage/local", disable=0) == blocked
    assert "storage 'new' does not exist" in pve.refusal("GET", "/storage/new")


def test_local_is_always_there(pve: Pve) -> None:
    pve.delete("/storage/local")
    shown = pve.get("/storage/local")
    assert shown["priority"] == 0
    assert shown["prune-backups"] == "keep-all=1"
    pve.put("/storage/local-lvm", disable=0)
    headers = [line for line in pve.text("storage.cfg").splitlines() if line.endswith("local")]
    assert headers == ["dir: local"]
    assert pve.text("storage.cfg").index("dir: local") > pve.text("storage.cfg").index("local-lvm")


def test_local_is_never_restricted_to_nodes(pve: Pve) -> None:
    pve.put("/storage/local", nodes="elsewhere")
    assert "nodes" not in pve.get("/storage/local")


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ("", "none"),
        ("none,iso", "500 update storage failed: unable to combine 'none' with other"),
        ("foo", "400 Parameter verification failed.; content: invalid format - invalid content"),
    ],
)
def test_content_none_excludes_all_others(pve: Pve, content: str, answer: str) -> None:
    if answer == "none":
        pve.put("/storage/local", content=content)
        assert pve.get("/storage/local")["content"] == answer
    else:
        assert pve.refusal("PUT", "/storage/local", content=content).startswith(answer)


def test_a_folder_path_with_odd_characters_is_refused(pve: Pve) -> None:
    refused = pve.refusal("POST", "/storage", storage="new", type="dir", path="/a b")
    assert refused == "500 illegal path for directory storage: /a b"


def test_a_storage_that_others_stand_on_stays(pve: Pve) -> None:
    pve.post("/storage", storage="san", type="iscsi", portal="192.0.2.1", target="iqn.x")
    pve.post("/storage", storage="vg", type="lvm", vgname="data", base="san:0.0.0.scsi-1")
    refused = pve.refusal("DELETE", "/storage/san")
    assert refused.endswith("can't remove storage - storage is used as base of another storage")
    pve.delete("/storage/vg")
    pve.delete("/storage/san")


def test_deleting_takes_acl_entries_and_pool_membership_along(pve: Pve) -> None:
    create(pve, "dir")
    pve.post("/pools", poolid="team")
    pve.put("/pools", poolid="team", storage="new")
    pve.post("/access/users", userid="kim@pve")
    pve.put("/access/acl", path="/storage/new", users="kim@pve", roles="PVEDatastoreUser")
    pve.delete("/storage/new")
    assert "new" not in pve.text("user.cfg")


def test_what_may_be_seen_of_storages(pve: Pve) -> None:
    pve.post("/access/users", userid="kim@pve")
    assert pve.get("/storage", actor="kim@pve") == []
    pve.put("/access/acl", path="/storage/local", users="kim@pve", roles="PVEDatastoreUser")
    assert [row["storage"] for row in pve.get("/storage", actor="kim@pve")] == ["local"]
    denied = "403 Permission check failed (/storage/local, Datastore.Allocate)"
    assert pve.refusal("GET", "/storage/local", actor="kim@pve") == denied
    status = pve.get("/nodes/demo-felhom/storage/local/status", actor="kim@pve")
    assert (status["active"], status["enabled"]) == (1, 1)


def test_a_storage_for_another_node_is_unknown_here(pve: Pve) -> None:
    create(pve, "dir", nodes="elsewhere", disable="0")
    pve.post("/pools", poolid="team")
    pve.put("/pools", poolid="team", storage="new")
    (pool,) = pve.get("/pools", poolid="team")
    (row,) = pool["members"]
    assert (row["id"], row["status"]) == ("storage/elsewhere/new", "unknown")
    assert "new" not in [row.get("storage") for row in pve.get("/cluster/resources")]


def test_a_provider_that_the_plugin_does_not_know_is_refused(pve: Pve) -> None:
    given = {key: value_of(key, "zfs") for key in STORAGE_TYPES["zfs"].section.required}
    given["iscsiprovider"] = "lio"
    refused = pve.refusal(
        "POST", "/storage", storage="new", type="zfs", **{f"{k}_": given[k] for k in given}
    )
    known = "Available [comstar, istgt, iet, LIO]"
    assert refused == f"500 create storage failed: lio: unknown iscsi provider. {known}"


def test_an_esxi_storage_has_no_limit(pve: Pve) -> None:
    create(pve, "esxi")
    refused = pve.refusal("PUT", "/storage/new", bwlimit="clone=1")
    assert refused == "500 update storage failed: unexpected property 'bwlimit'"
