"""Tasks of the embedded Proxmox VE that take time, and nodes that are down."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import UnknownOutcome, Unreachable
from reconciler.sandbox.config.store import Store
from reconciler.sandbox.tasks import Upid, exit_status
from tests.support.pve import Pve

NODE = "/nodes/demo-felhom"
CT = f"{NODE}/lxc"
ARCHIVE = "local:backup/vzdump-lxc-9001-2026_11_28-02_30_00.tar.zst"
RESTORE: dict[str, Any] = {
    "vmid": 9950,
    "restore": "1",
    "ostemplate": ARCHIVE,
    "storage": "drill",
    "rootfs": "0",
}


def until(condition: Callable[[], Any]) -> Any:
    """What the condition gives once it is true; fails after five seconds."""
    for _ in range(500):
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("it did not happen")


def state(pve: Pve, upid: str) -> dict[str, Any]:
    found: dict[str, Any] = pve.get(f"{NODE}/tasks/{upid}/status")
    return found


def test_a_task_can_be_watched(tmp_path: Path) -> None:
    pve = Pve(tmp_path, "backups", task_time=0.3)
    upid = pve.post(CT, **RESTORE)
    assert state(pve, upid)["status"] == "running"
    assert "exitstatus" not in state(pve, upid)
    assert until(lambda: f"restoring '{ARCHIVE}' now.." in pve.log(upid))
    assert pve.get(f"{CT}/9950/config")["lock"] == "create"
    assert pve.refusal("PUT", f"{CT}/9950/config", cores="2") == "500 CT is locked (create)"
    (row,) = pve.get(f"{NODE}/tasks", source="active")
    assert (row["upid"], row["status"]) == (upid, "RUNNING")
    assert pve.get(f"{NODE}/tasks") == []
    (row,) = pve.get("/cluster/tasks")
    assert "endtime" not in row
    until(lambda: state(pve, upid)["status"] == "stopped")
    assert state(pve, upid)["exitstatus"] == "OK"
    assert "lock" not in pve.get(f"{CT}/9950/config")


def test_a_task_that_is_stopped_cleans_up(tmp_path: Path) -> None:
    pve = Pve(tmp_path, "backups", task_time=30)
    upid = pve.post(CT, **RESTORE)
    pve.delete(f"{NODE}/tasks/{upid}")
    until(lambda: state(pve, upid)["status"] == "stopped")
    assert state(pve, upid)["exitstatus"] == "unable to restore CT 9950 - received interrupt"
    assert "does not exist" in pve.refusal("GET", f"{CT}/9950/config")


def test_a_stopped_backup_does_not_continue_with_another_guest(tmp_path: Path) -> None:
    pve = Pve(tmp_path, "backups", task_time=30)
    upid = pve.post(f"{NODE}/vzdump", vmid="9000,9001", storage="local")
    assert until(lambda: pve.get(f"{NODE}/qemu/9000/config").get("lock")) == "backup"
    pve.delete(f"{NODE}/tasks/{upid}")
    until(lambda: state(pve, upid)["status"] == "stopped")
    assert state(pve, upid)["exitstatus"] == "interrupted by signal"
    assert "lock" not in pve.get(f"{NODE}/qemu/9000/config")
    assert not any("Starting Backup of VM 9001" in line for line in pve.log(upid))


def test_a_guest_is_locked_while_it_is_backed_up(tmp_path: Path) -> None:
    pve = Pve(tmp_path, "backups", task_time=0.3)
    upid = pve.post(f"{NODE}/vzdump", vmid="9001", storage="local", mode="snapshot")
    assert until(lambda: pve.get(f"{CT}/9001/config").get("lock")) == "backup"
    second = pve.post(f"{NODE}/vzdump", vmid="9001", storage="local")
    until(lambda: state(pve, second)["status"] == "stopped")
    assert any("CT is locked (backup)" in line for line in pve.log(second))
    until(lambda: state(pve, upid)["status"] == "stopped")
    assert state(pve, upid)["exitstatus"] == "OK"
    saved = pve.get(f"{NODE}/vzdump/extractconfig", volume=_newest(pve))
    assert "lock:" not in saved


def _newest(pve: Pve) -> str:
    rows = pve.get(f"{NODE}/storage/local/content", content="backup", vmid=9001)
    return str(max(rows, key=lambda row: row["ctime"])["volid"])


def test_a_deletion_can_be_waited_for(tmp_path: Path) -> None:
    pve = Pve(tmp_path, "backups", task_time=0.1)
    path = f"{NODE}/storage/local/content/{ARCHIVE}"
    pve.put(path, protected="1")
    refusal = pve.refusal("DELETE", path, delay="5")
    assert refusal.startswith("500 cannot remove protected volume")
    pve.put(path, protected="0")
    assert pve.delete(path, delay="5") is None


def test_a_task_whose_server_was_killed_ends_unexpectedly(tmp_path: Path) -> None:
    """Its marker is there, but nothing holds the lock of it any more."""
    pve = Pve(tmp_path, "backups")
    upid = pve.post(f"{CT}/9001/snapshot", snapname="xy")
    active = pve.run / "tasks" / "active"
    index = pve.run / "tasks" / "index"
    index.write_text("")
    (active / upid).touch()
    parsed = Upid.parse(upid)
    assert parsed is not None
    assert exit_status(Store(pve.folder), parsed) == "unexpected status"
    assert list(active.iterdir()) == []


@pytest.fixture
def three(tmp_path: Path) -> Pve:
    """Three nodes, a container on the second; the third is down."""
    pve = Pve(tmp_path, "backups")
    for node in ("node-b", "node-c"):
        (pve.folder / "nodes" / node / "lxc").mkdir(parents=True)
    text = pve.text("nodes/demo-felhom/lxc/9001.conf").replace("9001", "9101")
    (pve.folder / "nodes/node-b/lxc/9101.conf").write_text(text)
    (pve.folder / "nodes/node-c/lxc/9102.conf").write_text(text.replace("9101", "9102"))
    (pve.run / "nodes").mkdir(parents=True)
    (pve.run / "nodes/node-c.down").touch()
    return pve


def test_all_nodes_are_listed_and_which_one_is_down(three: Pve) -> None:
    rows = {row["node"]: row["status"] for row in three.get("/nodes")}
    assert rows == {"demo-felhom": "online", "node-b": "online", "node-c": "offline"}
    cluster, *nodes = three.get("/cluster/status")
    assert (cluster["nodes"], cluster["quorate"]) == (3, 1)
    assert [(row["name"], row["nodeid"], row["local"], row["online"]) for row in nodes] == [
        ("demo-felhom", 1, 1, 1),
        ("node-b", 2, 0, 1),
        ("node-c", 3, 0, 0),
    ]
    resources = {row["id"]: row["status"] for row in three.get("/cluster/resources")}
    assert resources["storage/node-b/local"] == "available"
    assert resources["storage/node-c/local"] == "unknown"
    assert (resources["lxc/9101"], resources["lxc/9102"]) == ("stopped", "unknown")


def test_another_node_does_the_work_that_is_asked_of_it(three: Pve) -> None:
    assert [row["vmid"] for row in three.get("/nodes/node-b/lxc")] == [9101]
    upid = three.post("/nodes/node-b/vzdump", vmid="9101", storage="local", compress="zstd")
    assert upid.startswith("UPID:node-b:")
    assert three.ended(upid) == "OK"
    path = "storage/local/content"
    (row,) = three.get(f"/nodes/node-b/{path}", content="backup")
    assert row["vmid"] == 9101
    assert all(row["vmid"] != 9101 for row in three.get(f"{NODE}/{path}", content="backup"))
    assert [row["upid"] for row in three.get("/nodes/node-b/tasks")] == [upid]
    assert three.get(f"{NODE}/tasks") == []
    assert "no such task" in three.refusal("GET", f"{NODE}/tasks/{upid}/status")
    restored = three.post(
        "/nodes/node-b/lxc",
        vmid=9950,
        restore="1",
        ostemplate=row["volid"],
        storage="drill",
        rootfs="0",
    )
    assert three.ended(restored) == "OK"
    assert (three.folder / "nodes/node-b/lxc/9950.conf").exists()


def test_a_shared_storage_shows_the_same_archives_everywhere(three: Pve) -> None:
    three.put("/storage/local", shared="1")
    three.post("/nodes/node-b/vzdump", vmid="9101", storage="local")
    for node in ("demo-felhom", "node-b"):
        rows = three.get(f"/nodes/{node}/storage/local/content", content="backup", vmid=9101)
        assert len(rows) == 1


def test_a_node_that_is_down_is_not_reached(three: Pve) -> None:
    with pytest.raises(Unreachable, match="595 No route to host"):
        three.get("/nodes/node-c/lxc")
    with pytest.raises(UnknownOutcome, match="595 No route to host"):
        three.post("/nodes/node-c/vzdump", vmid="9102")
    assert "hostname lookup" in three.refusal("GET", "/nodes/nowhere/lxc")


def test_the_free_memory_of_a_node_can_be_set(three: Pve) -> None:
    (three.run / "nodes/node-b.memory").write_text("1048576\n")
    rows = {row["node"]: row for row in three.get("/cluster/resources", type="node")}
    assert rows["node-b"]["maxmem"] - rows["node-b"]["mem"] == 1048576
    assert three.get("/nodes/node-b/status")["memory"]["free"] == 1048576
    assert three.get("/nodes/demo-felhom/status")["memory"]["free"] > 1048576
