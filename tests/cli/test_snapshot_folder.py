"""A snapshot of a cluster that sends what no Proxmox VE has: names never become paths or lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cli.state_folder.snapshot_folder import copy_cluster
from reconciler.errors import ExitStatus
from reconciler.kinds.acl.table import AclSpec
from reconciler.kinds.group import GroupSpec
from reconciler.kinds.pool.membership import PoolSpec
from reconciler.kinds.role import RoleSpec
from reconciler.kinds.user.table import UserSpec
from reconciler.live.reader import Live
from reconciler.model.address import Address
from reconciler.model.inventory import Facts, Guest
from reconciler.model.spec import Spec
from tests.cli.in_process import ask
from tests.cli.site import files_of
from tests.support.command import copy_fixture

ROOT = "user:root@pam:1:0::::::"
EVE = "\nuser:eve@pve:1:0::::::\nacl:1:/:eve@pve:Administrator:"


@pytest.mark.parametrize(
    "node", ["../../x", "/owned-by-a-node", "..", ".", "", "a\nb", "a/b", "a\0b"]
)
def test_a_node_leads_nowhere_outside(node: str, tmp_path: Path) -> None:
    copy = tmp_path / "there" / "copy"
    guest = Guest(100, "web", "qemu", node)
    _, left_out = copy_cluster(Live({}, Facts(guests={100: guest}, nodes=("pve", node))), copy)
    assert left_out == [f"node {node}", f"guest 100 on node {node}"]
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["copy"]
    assert [path.name for path in (copy / "nodes").iterdir()] == ["pve"]
    assert not Path("/owned-by-a-node").exists()


@pytest.mark.parametrize("kind", ["qemu", "lxc"])
@pytest.mark.parametrize("name", ["a\nlock: x", "a b", "a\r", "\x1b[2J", "-a", "web\n"])
def test_a_guest_whose_name_is_none_has_no_name(kind: str, name: str, tmp_path: Path) -> None:
    guests = {100: Guest(100, name, kind, "pve", template=True), 7: Guest(7, "a", kind, "pve")}
    _, left_out = copy_cluster(Live({}, Facts(guests=guests, nodes=("pve",))), tmp_path / "copy")
    assert left_out == [f"the name of guest 100: {name}", "guest 7 on node pve"]
    (text,) = [raw for at, raw in files_of(tmp_path / "copy").items() if at.endswith("/100.conf")]
    assert text == b"template: 1\n"


def test_a_guest_keeps_a_name_that_proxmox_ve_takes(tmp_path: Path) -> None:
    guests = {100: Guest(100, "web-1.example.com", "lxc", "pve")}
    _, left_out = copy_cluster(Live({}, Facts(guests=guests, nodes=("pve",))), tmp_path / "copy")
    assert left_out == []
    text = files_of(tmp_path / "copy")["nodes/pve/lxc/100.conf"]
    assert text == b"hostname: web-1.example.com\n"


@pytest.mark.parametrize(
    ("address", "spec"),
    [
        (Address("user", f"bob@pve{EVE}"), UserSpec(keys="")),
        (Address("user", "bob@pve"), UserSpec(keys="", comment=f"x{EVE}", firstname=f"y{EVE}")),
        (Address("user", "bob@pve"), UserSpec(keys="", email=f"x@example.com{EVE}")),
        (Address("group", f"ops{EVE}"), GroupSpec()),
        (Address("group", "ops"), GroupSpec(comment=f"x{EVE}")),
        (Address("role", f"R{EVE}"), RoleSpec()),
        (Address("role", "R"), RoleSpec(privileges=(f"Sys.Audit{EVE}",))),
        (Address("pool", f"p{EVE}"), PoolSpec()),
        (Address("pool", "p"), PoolSpec(comment=f"x{EVE}")),
        (Address("acl", f"/vms/1{EVE}|user:root@pam|PVEAdmin"), AclSpec()),
    ],
)
def test_no_text_of_an_object_becomes_a_line(address: Address, spec: Spec, tmp_path: Path) -> None:
    copy_cluster(Live({address: spec}, Facts(nodes=("pve",))), tmp_path)
    lines = (tmp_path / "user.cfg").read_text().splitlines()
    assert not [line for line in lines if line.startswith(("user:eve", "acl:1:/:eve"))]


LEFT_OVER = """
vzdump: no-storage
	schedule sat 02:00
	pool gone
	storage nowhere
	node gone

realm-sync: no-realm
	schedule daily
	realm gone
	scope both

vzdump: 0dd
	schedule 03:00
	all 1
	storage nowhere
"""
"""Proxmox VE lets a storage, a pool and a realm go that jobs name, and reads such jobs."""


def test_jobs_that_name_what_is_gone_are_in_a_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    folder, state = copy_fixture("fresh", tmp_path / "pve"), tmp_path / "state"
    (folder / "jobs.cfg").write_text(LEFT_OVER)
    assert ask("import", on=folder, state=state).status == ExitStatus.OK
    copied = ask("snapshot", "--out", tmp_path / "copy", on=folder)
    assert (copied.status, "skipped" in copied.err) == (ExitStatus.OK, False), copied
    for cluster in (folder, tmp_path / "copy"):
        plan = ask("plan", "--detailed-exitcode", on=cluster, state=state)
        assert plan.status == ExitStatus.OK, plan
    assert "gone" not in (tmp_path / "copy" / "user.cfg").read_text()
    assert "nowhere" not in (tmp_path / "copy" / "storage.cfg").read_text()
