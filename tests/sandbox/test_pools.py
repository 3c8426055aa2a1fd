"""Pools and resources of the embedded Proxmox VE: rules that the recordings do not show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.pve import Pve


@pytest.fixture
def pve(tmp_path: Path) -> Pve:
    pve = Pve(tmp_path)
    pve.post("/pools", poolid="one")
    pve.post("/pools", poolid="two")
    return pve


def user(pve: Pve, **grants: str) -> str:
    """A user with privileges: `pool_one="Pool.Audit"` grants them on /pool/one."""
    pve.post("/access/users", userid="a@pve")
    for place, privileges in grants.items():
        pve.post("/access/roles", roleid=place, privs=privileges)
        path = "/" if place == "root" else "/" + place.replace("_", "/")
        pve.put("/access/acl", path=path, users="a@pve", roles=place)
    return "a@pve"


def members(pve: Pve, pool: str, actor: str = "root@pam", **more: Any) -> list[str]:
    [answer] = pve.get("/pools", actor, poolid=pool, **more)
    return [row["id"] for row in answer["members"]]


def forbidden(path: str, privilege: str) -> str:
    return f"403 Permission check failed ({path}, {privilege})"


@pytest.mark.parametrize("path", ["/pools", "/pools/{}"])
def test_both_ways_to_name_a_pool(pve: Pve, path: str) -> None:
    def named(pool: str) -> dict[str, str]:
        return {} if "{" in path else {"poolid": pool}

    pve.put(path.format("one"), **named("one"), vms="9001,9000", storage="local", comment="x")
    assert members(pve, "one") == ["qemu/9000", "lxc/9001", "storage/demo-felhom/local"]
    answer = pve.get("/pools/one")
    assert answer["comment"] == "x"
    refusal = pve.refusal("DELETE", path.format("one"), **named("one"))
    assert refusal == "500 delete pool failed: pool 'one' is not empty (contains VM 9000)"
    pve.put(path.format("one"), **named("one"), vms="9000 9001", delete=1)
    refusal = pve.refusal("DELETE", path.format("one"), **named("one"))
    assert refusal == "500 delete pool failed: pool 'one' is not empty (contains storage 'local')"
    pve.put(path.format("one"), **named("one"), storage="local", delete=1)
    pve.delete(path.format("one"), **named("one"))
    assert pve.get("/pools") == [{"poolid": "two"}]


@pytest.mark.parametrize(
    ("kind", "shown"),
    [("qemu", ["qemu/9000"]), ("lxc", ["lxc/9001"]), ("storage", ["storage/demo-felhom/local"])],
)
def test_members_of_one_kind(pve: Pve, kind: str, shown: list[str]) -> None:
    pve.put("/pools", poolid="one", vms="9000,9001", storage="local")
    assert members(pve, "one", type=kind) == shown
    assert [row["id"] for row in pve.get("/pools/one", type=kind)["members"]] == shown
    assert pve.refusal("GET", "/pools", type=kind).startswith("400")


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({"vms": "9001"}, "VM 9001 is already a pool member"),
        ({"vms": "9000", "delete": "1"}, "VM 9000 is not a pool member"),
        (
            {"vms": "9002"},
            "VM 9002 belongs already to pool 'two' and 'allow-move' is not set",
        ),
        ({"storage": "local"}, "Storage 'local' is already a pool member"),
        ({"storage": "local-lvm", "delete": "1"}, "Storage 'local-lvm' is not a pool member"),
        ({"vms": "9000,9001"}, "VM 9001 is already a pool member"),
        ({"vms": "9000,9000"}, "VM 9000 is already a pool member"),
    ],
)
def test_changes_that_are_refused_change_nothing(
    pve: Pve, given: dict[str, str], refusal: str
) -> None:
    """Guests need not exist to be members."""
    pve.put("/pools", poolid="one", vms="9001", storage="local")
    pve.put("/pools", poolid="two", vms="9002")
    before = pve.text("user.cfg")
    refused = pve.refusal("PUT", "/pools", poolid="one", comment="new", **given)
    assert refused == f"500 update pools failed: {refusal}"
    assert pve.text("user.cfg") == before


def test_members_that_do_not_exist_are_not_shown_and_do_not_count(pve: Pve) -> None:
    pve.put("/pools", poolid="one", vms="9002", storage="gone")
    assert members(pve, "one") == []
    assert "pool:one::9002:gone:" in pve.text("user.cfg")
    pve.delete("/pools/one")


def test_a_guest_moves_with_rights_on_both_pools(pve: Pve) -> None:
    who = user(pve, pool_one="Pool.Allocate", vms_9001="VM.Allocate")
    pve.put("/pools", poolid="two", vms="9001")
    move = {"poolid": "one", "vms": "9001", "allow_move": "1"}
    needed = "Permission check failed (/pool/two, Pool.Allocate)"
    assert pve.refusal("PUT", "/pools", who, **move) == f"500 update pools failed: 403 {needed}"
    pve.put("/access/acl", path="/pool/two", users=who, roles="pool_one")
    pve.put("/pools", who, **move)
    assert (members(pve, "one"), members(pve, "two")) == (["lxc/9001"], [])


@pytest.mark.parametrize(("member", "path"), [("vms", "/vms/9001"), ("storage", "/storage/local")])
def test_a_member_needs_rights_on_the_member(pve: Pve, member: str, path: str) -> None:
    who = user(pve, pool_one="Pool.Allocate")
    given = {"poolid": "one", member: path.rpartition("/")[2]}
    refusal = pve.refusal("PUT", "/pools", who, **given)
    assert refusal.startswith(f"500 update pools failed: 403 Permission check failed ({path}, ")
    pve.put("/access/acl", path=path, users=who, roles="PVEAdmin")
    pve.put("/pools", who, **given)


def test_nested_pools(pve: Pve) -> None:
    assert (
        pve.refusal("POST", "/pools", poolid="none/below")
        == "500 create pool failed: parent 'none' of pool 'none/below' does not exist"
    )
    pve.post("/pools", poolid="one/below")
    pve.post("/pools", poolid="one/below/deep")
    assert pve.refusal("POST", "/pools", poolid="one/below/deep/er").startswith("400")
    assert (
        pve.refusal("DELETE", "/pools", poolid="one")
        == "500 delete pool failed: pool 'one' is not empty (contains pool 'one/below')"
    )
    assert [row["poolid"] for row in pve.get("/pools")] == [
        "one",
        "one/below",
        "one/below/deep",
        "two",
    ]


def test_access_to_a_nested_pool_is_left_behind(pve: Pve) -> None:
    """As in PVE: a new pool of the name has the old entries again. Those of others go."""
    pve.post("/access/users", userid="a@pve")
    pve.post("/pools", poolid="one/below")
    for pool in ("one/below", "two"):
        pve.put("/access/acl", path=f"/pool/{pool}", users="a@pve", roles="PVEPoolUser")
        pve.delete("/pools", poolid=pool)
    assert [row["path"] for row in pve.get("/access/acl")] == ["/pool/one/below"]


def test_who_sees_pools(pve: Pve) -> None:
    who = user(pve, pool_one="Pool.Audit", vms_9001="VM.Audit")
    pve.put("/pools", poolid="two", vms="9001", comment="secret")
    assert pve.get("/pools", who) == [{"poolid": "one"}]
    assert pve.refusal("GET", "/pools/two", who) == forbidden("/pool/two", "Pool.Audit")
    rows = {row["id"]: row for row in pve.get("/cluster/resources", who)}
    assert set(rows) == {"/pool/one", "lxc/9001", "node/demo-felhom"}
    assert "pool" not in rows["lxc/9001"]
    assert {row["id"] for row in pve.get("/cluster/resources", who, type="vm")} == {"lxc/9001"}


def test_pools_that_are_not_there(pve: Pve) -> None:
    unknown = "pool 'nope' does not exist"
    assert pve.refusal("GET", "/pools/nope") == f"500 {unknown}"
    assert pve.refusal("GET", "/pools", poolid="nope") == f"500 {unknown}"
    assert (
        pve.refusal("PUT", "/pools", poolid="nope", comment="x")
        == f"500 update pools failed: {unknown}"
    )
    assert pve.refusal("DELETE", "/pools/nope") == f"500 delete pool failed: {unknown}"
    assert (
        pve.refusal("POST", "/pools", poolid="one")
        == "500 create pool failed: pool 'one' already exists"
    )


def test_resources_of_a_storage_that_is_switched_off_or_elsewhere(pve: Pve) -> None:
    pve.post("/storage", storage="off", type="dir", path="/off", disable=1)
    pve.post("/storage", storage="away", type="dir", path="/away", nodes="other")
    shown = {row["storage"] for row in pve.get("/cluster/resources", type="storage")}
    assert shown == {"local", "local-lvm"}
    rows = {row["storage"]: row for row in pve.get("/nodes/demo-felhom/storage")}
    assert set(rows) == {"local", "local-lvm", "off", "away"}
    assert [(rows[name]["enabled"], rows[name]["active"]) for name in sorted(rows)] == [
        (0, 0),
        (1, 1),
        (1, 1),
        (0, 0),
    ]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"content": "images"}, ["local-lvm"]),
        ({"content": "iso,images"}, ["local", "local-lvm"]),
        ({"enabled": "1"}, ["away", "local", "local-lvm"]),
        ({"storage": "off"}, ["off"]),
        ({"content": "snippets"}, []),
    ],
)
def test_storages_of_the_node(pve: Pve, given: dict[str, str], shown: list[str]) -> None:
    pve.post("/storage", storage="off", type="dir", path="/off", disable=1, content="snippets")
    pve.post("/storage", storage="away", type="dir", path="/away", nodes="other")
    rows = pve.get("/nodes/demo-felhom/storage", **given)
    assert sorted(row["storage"] for row in rows) == shown


@pytest.mark.parametrize(
    ("storage", "refusal"),
    [
        ("nope", "storage 'nope' does not exist"),
        ("off", "storage 'off' is disabled"),
        ("away", "storage 'away' is not available on node 'demo-felhom'"),
    ],
)
def test_content_of_storages_that_cannot_be_read(pve: Pve, storage: str, refusal: str) -> None:
    pve.post("/storage", storage="off", type="dir", path="/off", disable=1)
    pve.post("/storage", storage="away", type="dir", path="/away", nodes="other")
    path = f"/nodes/demo-felhom/storage/{storage}/content"
    assert pve.refusal("GET", path) == f"500 {refusal}"


def test_who_sees_content(pve: Pve) -> None:
    who = user(pve, storage_local="Datastore.AllocateSpace", vms_9001="VM.Backup")
    pve.put("/storage/local", content="backup")
    pve.post("/nodes/demo-felhom/vzdump", vmid="9000,9001")
    path = "/nodes/demo-felhom/storage/{}/content"
    assert [row["vmid"] for row in pve.get(path.format("local"), who)] == [9001]
    assert [row["vmid"] for row in pve.get(path.format("local"))] == [9001, 9000]
    assert [row["vmid"] for row in pve.get(path.format("local"), vmid=9000)] == [9000]
    assert pve.get(path.format("local"), content="images") == []
    needed = forbidden("/storage/local-lvm", "Datastore.Audit|Datastore.AllocateSpace")
    assert pve.refusal("GET", path.format("local-lvm"), who) == needed
    assert [row["volid"] for row in pve.get(path.format("local-lvm"))] == [
        "local-lvm:vm-9000-disk-0",
        "local-lvm:vm-9001-disk-0",
    ]


def test_a_path_in_another_form_is_walked_as_perl_splits_it(pve: Pve) -> None:
    """By the tree for entries, by the very text for pools (`roles`, `$compile_acl_path`)."""
    text = pve.text("user.cfg")
    lines = (
        "user:ann@pve:1:0::::::",
        "group:ops:ann@pve::",
        "pool:p::9000::",
        "acl:1:/:@ops:PVEAuditor:",
        "acl:0:/vms:ann@pve:PVEVMUser:",
        "acl:1:/pool/p:ann@pve:NoAccess:",
    )
    (pve.folder / "user.cfg").write_text("\n".join([text, *lines, ""]))

    def held(path: str) -> int:
        answer = pve.get("access/permissions", userid="ann@pve", path=path)
        assert list(answer) == [path]
        return len(answer[path])

    user, auditor = held("/vms"), held("/nodes")
    assert user != auditor
    assert [held(path) for path in ("/vms/", "//vms", "vms", "//vms//")] == [user] * 4
    assert held("/vms/9000") == 0
    assert held("/vms/9000/") == auditor
    assert held("nodes") == held("//") == 0
