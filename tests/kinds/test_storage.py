from __future__ import annotations

from typing import Any

import pytest

from reconciler.kinds import all_kinds
from reconciler.kinds.storage.table import StorageSpec
from reconciler.model.address import Address
from reconciler.model.change import Undo
from reconciler.model.request import request
from reconciler.model.secret import SecretRef
from reconciler.pve.release import release_named
from tests.kinds.samples import change, declared, requests

KIND = all_kinds()["storage"]
STORAGES = request("GET", "storage")
PBS = {
    "type": "pbs",
    "server": "pbs.example.invalid",
    "datastore": "main",
    "username": "b@pbs",
    "password": {"env": "PBS"},
}


def seen(**row: Any) -> StorageSpec:
    """A storage as PVE answers it."""
    ((_, spec),) = KIND.reads.parse({STORAGES: [{"storage": "x1", **row}]})
    assert isinstance(spec, StorageSpec)
    return spec


def spec(name: str, **table: Any) -> StorageSpec:
    found = declared("storage", name, table)
    assert isinstance(found, StorageSpec)
    return found


def test_only_what_is_given_is_managed() -> None:
    live = seen(type="dir", path="/mnt/x", content="iso,backup", nodes="b,a", disable=1)
    after = KIND.writes.merge_with_live(spec("x1", keep={"last": 3, "weekly": 0}), live)
    assert requests(change("storage", "x1", live, after)) == [
        ("PUT", "/storage/x1", {"prune-backups": "keep-last=3"})
    ]


def test_the_order_of_content_and_nodes_says_nothing() -> None:
    live = seen(type="dir", path="/mnt/x", content="iso,backup", nodes="b,a")
    wanted = spec("x1", content=["backup", "iso"], nodes=["a", "b", "a"])
    assert KIND.writes.merge_with_live(wanted, live) == live


def test_what_proxmox_adds_by_itself_is_not_drift() -> None:
    live = seen(type="nfs", server="a", export="/v", path="/mnt/pve/x1", content="images", shared=1)
    assert (
        KIND.writes.merge_with_live(spec("x1", type="nfs", server="a", export="/v"), live) == live
    )
    assert KIND.writes.merge_with_live(spec("x1", mkdir=True, disable=False), live) == live


def test_a_new_storage_is_sent_with_its_secrets_by_reference() -> None:
    after = KIND.writes.merge_with_live(spec("pbs1", **PBS), None)
    ((method, target, params),) = requests(change("storage", "pbs1", None, after))
    assert (method, target) == ("POST", "/storage")
    assert params == {
        "storage": "pbs1",
        "type": "pbs",
        "content": "backup",
        "datastore": "main",
        "server": "pbs.example.invalid",
        "username": "b@pbs",
        "password": SecretRef(env="PBS"),
    }


def test_a_secret_is_sent_again_only_when_it_was_changed() -> None:
    live = KIND.reads.as_read(KIND.writes.merge_with_live(spec("pbs1", **PBS), None))
    wanted = KIND.writes.merge_with_live(spec("pbs1", **PBS), live)
    assert wanted == live
    assert KIND.secrets.with_sent is not None
    again = KIND.secrets.with_sent(wanted, KIND.secrets.sent(spec("pbs1", **PBS)))
    rotation = change("storage", "pbs1", live, again)
    assert requests(rotation) == [("PUT", "/storage/pbs1", {"password": SecretRef(env="PBS")})]
    assert KIND.writes.undo(rotation) is Undo.LOSSY
    assert requests(rotation.inverse()) == []


def test_a_missing_key_is_set_and_can_be_taken_away_again() -> None:
    live = seen(type="pbs", server="a", datastore="d", content="backup", shared=1)
    wanted = spec("x1", encryption_key={"file": "key"})
    setting = change("storage", "x1", live, KIND.writes.merge_with_live(wanted, live))
    assert requests(setting) == [("PUT", "/storage/x1", {"encryption-key": SecretRef(file="key")})]
    assert KIND.writes.undo(setting) is Undo.FULL
    assert requests(setting.inverse()) == [("PUT", "/storage/x1", {"delete": "encryption-key"})]
    keyed = seen(
        type="pbs", server="a", datastore="d", content="backup", **{"encryption-key": "aa:bb"}
    )
    assert KIND.writes.merge_with_live(wanted, keyed) == keyed
    clearing = change(
        "storage",
        "x1",
        keyed,
        KIND.writes.merge_with_live(spec("x1", unset=["encryption_key"]), keyed),
    )
    assert requests(clearing) == [("PUT", "/storage/x1", {"delete": "encryption-key"})]
    assert KIND.writes.undo(clearing) is Undo.NONE


@pytest.mark.parametrize(
    ("row", "undo"),
    [
        ({"type": "dir", "path": "/a"}, Undo.FULL),
        ({"type": "pbs", "server": "a", "datastore": "d"}, Undo.NONE),
        ({"type": "cifs", "server": "a", "share": "s"}, Undo.FULL),
        ({"type": "cifs", "server": "a", "share": "s", "username": "u"}, Undo.NONE),
        ({"type": "rbd", "pool": "rbd"}, Undo.FULL),
        ({"type": "drbd", "resource": "r"}, Undo.NONE),
    ],
)
def test_a_storage_with_a_secret_does_not_come_back(row: dict[str, Any], undo: Undo) -> None:
    assert KIND.writes.undo(change("storage", "x1", seen(**row), None)) is undo


def test_nodes_of_local_are_dropped_as_proxmox_drops_them() -> None:
    wanted = spec("local", content=["iso"], nodes=["pve01"])
    live = seen(type="dir", path="/var/lib/vz", content="iso")
    assert KIND.writes.merge_with_live(wanted, live) == live
    (finding,) = KIND.checks.declared_object("local", wanted, {})
    assert finding.code == "IGNORED_OPTION"


def test_a_replaced_storage_gets_its_secrets_again() -> None:
    live = KIND.reads.as_read(KIND.writes.merge_with_live(spec("pbs1", **PBS), None))
    after = KIND.writes.merge_with_live(spec("pbs1", **{**PBS, "datastore": "other"}), live)
    delete, create = requests(change("storage", "pbs1", live, after))
    assert delete == ("DELETE", "/storage/pbs1", {})
    assert create[0] == "POST"
    assert create[2]["password"] == SecretRef(env="PBS")


def test_an_lvm_storage_names_the_storage_below_it() -> None:
    lvm = KIND.writes.merge_with_live(spec("l1", type="lvm", vgname="vg0", base="san:lun0"), None)
    assert list(KIND.links.references("l1", lvm)) == [Address("storage", "san")]


def test_a_plan_keeps_references_and_reads_back() -> None:
    after = KIND.writes.merge_with_live(spec("pbs1", **PBS), None)
    assert StorageSpec.model_validate(after.to_json()) == after
    assert after.to_json()["secrets"] == {"password": {"env": "PBS"}}


def test_esxi_needs_its_password_only_when_it_is_made() -> None:
    table = {"type": "esxi", "server": "a", "username": "root"}
    with pytest.raises(ValueError, match="needs password"):
        KIND.writes.merge_with_live(spec("e1", **table), None)
    live = seen(**table, content="import")
    assert KIND.writes.merge_with_live(spec("e1", **table), live) == live


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (
            {"type": "nfs", "server": "a", "export": "/v", "content_dirs": {"none": "x"}},
            "does not hold",
        ),
        ({"type": "dir", "path": "/a b"}, "illegal path"),
        ({"type": "dir", "path": "/a", "format": "qcow3"}, "enumeration"),
        (
            {"type": "zfspool", "pool": "tank", "format": "qcow2"},
            "does not support the option format",
        ),
        ({"type": "cephfs", "format": "raw"}, "does not support the image format"),
        ({"type": "dir", "path": "/a", "shraed": True}, "shraed"),
        ({"type": "dir", "path": "relative"}, "absolute path"),
        ({"type": "pbs", "server": "a", "datastore": "d", "password": "plain"}, "SecretRef"),
        ({"type": "nfs", "server": "a", "export": "/v", "options": "a b"}, "invalid options"),
        ({"type": "nfs", "server": "a", "export": " /v"}, "whitespace"),
        ({"type": "cifs", "server": "a", "share": "s ", "username": "u"}, "whitespace"),
        ({"type": "cifs", "server": "a", "share": "s\nx"}, "newline"),
    ],
)
def test_mistakes_of_a_table(table: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        spec("x1", **table)


def test_a_storage_of_a_type_that_9_0_removed_keeps_it_and_is_not_created() -> None:
    """GlusterFS on 8.4: what all storages have is managed, the rest is left alone."""
    live = seen(type="glusterfs", path="/mnt/pve/x1", volume="v", server="a", content="backup")
    assert KIND.toml.export("x1", live)["type"] == "glusterfs"
    model, old = KIND.toml.table, release_named("8.4")
    row = model.model_validate({"type": "glusterfs", "content": ["iso"]}, context=old)
    ((_, wanted, *_),) = KIND.toml.declare("x1", "", row)
    assert isinstance(wanted, StorageSpec)
    after = KIND.writes.merge_with_live(wanted, live)
    assert requests(change("storage", "x1", live, after)) == [
        ("PUT", "/storage/x1", {"content": "iso"})
    ]
    with pytest.raises(ValueError, match="type glusterfs cannot be created"):
        KIND.writes.merge_with_live(wanted, None)
