"""Guests of the embedded Proxmox VE: start, stop, agent, snapshots, configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.pve import Pve

NODE = "/nodes/demo-felhom"
CT = f"{NODE}/lxc/9001"
VM = f"{NODE}/qemu/9000"
KINDS = pytest.mark.parametrize("guest", [CT, VM])


@pytest.fixture
def pve(tmp_path: Path) -> Pve:
    pve = Pve(tmp_path, "self-backup")
    pve.put("/storage/local-lvm", disable="0")
    return pve


def behave(pve: Pve, vmid: int, **behaviour: Any) -> None:
    folder = pve.run / f"storage/local-lvm/images/vm-{vmid}-disk-0/etc"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sandbox.json").write_text(json.dumps(behaviour))


def run(pve: Pve, *words: str) -> dict[str, Any]:
    """A command in the virtual machine: how it ended."""
    pid = pve.post(f"{VM}/agent/exec", command=list(words))["pid"]
    found: dict[str, Any] = pve.get(f"{VM}/agent/exec-status", pid=pid)
    return found


@KINDS
def test_a_guest_starts_is_seen_running_and_stops(pve: Pve, guest: str) -> None:
    assert pve.ended(pve.post(f"{guest}/status/start")) == "OK"
    pve.now += 60
    row = pve.get(f"{guest}/status/current")
    assert (row["status"], row["uptime"]) == ("running", 60)
    listed = {row["vmid"]: row["status"] for row in pve.get("/cluster/resources", type="vm")}
    assert listed[int(guest[-4:])] == "running"
    assert pve.ended(pve.post(f"{guest}/status/shutdown")) == "OK"
    assert pve.get(f"{guest}/status/current")["status"] == "stopped"


def test_what_is_the_case_already_is_refused_as_proxmox_does(pve: Pve) -> None:
    assert pve.refusal("POST", f"{CT}/status/stop") == "500 CT 9001 not running"
    pve.post(f"{CT}/status/start")
    assert pve.refusal("POST", f"{CT}/status/start") == "500 CT 9001 already running"
    pve.post(f"{VM}/status/start")
    assert pve.ended(pve.post(f"{VM}/status/start")) == "VM 9000 already running"


@KINDS
def test_a_guest_may_refuse_to_start_or_to_go_down(pve: Pve, guest: str) -> None:
    behave(pve, int(guest[-4:]), start_fails="no such device")
    assert "no such device" in pve.ended(pve.post(f"{guest}/status/start"))
    behave(pve, int(guest[-4:]), shutdown=False)
    pve.post(f"{guest}/status/start")
    assert pve.ended(pve.post(f"{guest}/status/shutdown")) != "OK"
    assert pve.get(f"{guest}/status/current")["status"] == "running"
    assert pve.ended(pve.post(f"{guest}/status/shutdown", forceStop="1")) == "OK"


def test_a_guest_does_not_start_without_its_storage(pve: Pve) -> None:
    pve.put("/storage/local-lvm", disable="1")
    assert pve.ended(pve.post(f"{CT}/status/start")) == "storage 'local-lvm' is disabled"


def test_starting_needs_power_management(pve: Pve) -> None:
    refusal = pve.refusal("POST", f"{CT}/status/start", "felhom-ctl@pve!ctl")
    assert refusal == "403 Permission check failed (/vms/9001, VM.PowerMgmt)"


def test_the_agent_answers_once_the_guest_is_up(pve: Pve) -> None:
    behave(pve, 9000, boot=30)
    ping = f"{VM}/agent/ping"
    assert pve.refusal("POST", ping) == "500 No QEMU guest agent configured"
    pve.put(f"{VM}/config", agent="1")
    assert pve.refusal("POST", ping) == "500 VM 9000 is not running"
    pve.post(f"{VM}/status/start")
    assert pve.refusal("POST", ping) == "500 QEMU guest agent is not running"
    pve.now += 31
    assert pve.post(ping) == {"result": {}}
    assert pve.get(f"{VM}/status/current")["agent"] == 1


def test_commands_run_inside_a_virtual_machine(pve: Pve) -> None:
    slow = {"exit": 3, "out": "degraded\n", "err": "one unit failed\n"}
    behave(pve, 9000, commands={"systemctl is-system-running": slow, "sleep 9": {"seconds": 9}})
    pve.put(f"{VM}/config", agent="enabled=1")
    pve.post(f"{VM}/status/start")
    found = run(pve, "systemctl", "is-system-running")
    assert found == {
        "exited": 1,
        "exitcode": 3,
        "out-data": "degraded\n",
        "err-data": "one unit failed\n",
    }
    assert run(pve, "sleep", "9") == {"exited": 0}
    assert run(pve, "cat", "/etc/sandbox.json")["out-data"].startswith('{"commands"')
    assert run(pve, "cat", "/etc/shadow")["exitcode"] == 1
    refusal = pve.refusal("POST", f"{VM}/agent/exec", command=["reboot-the-moon"])
    assert "Failed to execute child process" in refusal


def test_commands_need_more_than_looking(pve: Pve) -> None:
    pve.post("/access/users", userid="looks@pve")
    pve.post("/access/roles", roleid="Looks", privs="VM.Audit,VM.GuestAgent.Audit")
    pve.put("/access/acl", path="/vms/9000", users="looks@pve", roles="Looks")
    pve.put(f"{VM}/config", agent="1")
    pve.post(f"{VM}/status/start")
    assert pve.post(f"{VM}/agent/ping", "looks@pve") == {"result": {}}
    refusal = pve.refusal("POST", f"{VM}/agent/exec", "looks@pve", command=["true"])
    assert refusal == "403 Permission check failed (/vms/9000, VM.GuestAgent.Unrestricted)"


def test_addresses_are_there_while_the_link_is_up(pve: Pve) -> None:
    assert pve.get(f"{CT}/interfaces") is None
    pve.post(f"{CT}/status/start")
    _, eth0 = pve.get(f"{CT}/interfaces")
    assert (eth0["name"], eth0["inet"]) == ("eth0", "192.0.2.112/24")
    pve.put(f"{CT}/config", net0="name=eth0,bridge=vmbr0,ip=dhcp,link_down=1")
    _, eth0 = pve.get(f"{CT}/interfaces")
    assert eth0["ip-addresses"] == []
    behave(pve, 9000, addresses=["127.0.0.1/8"])
    pve.put(f"{VM}/config", agent="1")
    pve.post(f"{VM}/status/start")
    _, eth0 = pve.get(f"{VM}/agent/network-get-interfaces")["result"]
    assert eth0["ip-addresses"][0]["ip-address"] == "127.0.0.1"


def test_a_guest_takes_a_snapshot_of_itself_with_its_own_token(pve: Pve) -> None:
    """`VM.Snapshot` on the guest is enough; a rollback needs no more, another guest is refused."""
    token = "felhom-ctl@pve!ctl"
    upid = pve.post(f"{CT}/snapshot", token, snapname="before", description="an update")
    assert pve.ended(upid) == "OK"
    before, current = pve.get(f"{CT}/snapshot", token)
    assert (before["name"], before["description"], before["snaptime"]) == (
        "before",
        "an update\n",
        pve.now,
    )
    assert (current["name"], current["parent"]) == ("current", "before")
    refusal = pve.refusal("POST", f"{VM}/snapshot", token, snapname="before")
    assert refusal == "403 Permission check failed (/vms/9000, VM.Snapshot)"
    assert pve.ended(pve.delete(f"{CT}/snapshot/before", token)) == "OK"
    (current,) = pve.get(f"{CT}/snapshot", token)
    assert "parent" not in current


@KINDS
def test_a_rollback_brings_back_options_and_files(pve: Pve, guest: str) -> None:
    vmid = int(guest[-4:])
    behave(pve, vmid, boot=1)
    pve.post(f"{guest}/snapshot", snapname="first")
    pve.put(f"{guest}/config", cores="7")
    behave(pve, vmid, boot=2)
    pve.post(f"{guest}/snapshot", snapname="second")
    assert pve.ended(pve.post(f"{guest}/snapshot/first/rollback")) == "OK"
    config = pve.get(f"{guest}/config")
    assert (config["cores"], config["parent"]) == (1 if guest == CT else 2, "first")
    disk = pve.run / f"storage/local-lvm/images/vm-{vmid}-disk-0/etc/sandbox.json"
    assert json.loads(disk.read_text()) == {"boot": 1}
    assert pve.get(f"{guest}/config", snapshot="second")["cores"] == 7
    assert pve.ended(pve.delete(f"{guest}/snapshot/first")) == "OK"
    parents = {row["name"]: row.get("parent") for row in pve.get(f"{guest}/snapshot")}
    assert parents == {"second": None, "current": None}


def test_snapshots_that_cannot_be(pve: Pve) -> None:
    pve.post(f"{CT}/snapshot", snapname="once")
    again = pve.ended(pve.post(f"{CT}/snapshot", snapname="once"))
    assert again == "snapshot name 'once' already used"
    reserved = pve.refusal("POST", f"{CT}/snapshot", snapname="current")
    assert reserved == "500 unable to use snapshot name 'current' (reserved name)"
    gone = pve.ended(pve.delete(f"{CT}/snapshot/never"))
    assert gone == "snapshot 'never' does not exist"
    conf = pve.folder / f"{CT[1:]}.conf"
    conf.write_text(
        conf.read_text().replace("local-lvm:vm-9001-disk-0", "local:9001/vm-9001-disk-0.raw", 1)
    )
    none = pve.ended(pve.post(f"{CT}/snapshot", snapname="other"))
    assert none == "snapshot feature is not available"


def test_options_are_checked_one_by_one(pve: Pve) -> None:
    pve.post("/access/users", userid="net@pve")
    pve.post("/access/roles", roleid="Net", privs="VM.Config.Network")
    pve.put("/access/acl", path="/vms", users="net@pve", roles="Net")
    pve.put(f"{CT}/config", "net@pve", hostname="renamed")
    for guest, options, missing in (
        (CT, {"memory": "1024"}, "/vms/9001, VM.Config.Memory"),
        (CT, {"features": "nesting=0"}, "/vms/9001, VM.Allocate"),
        (CT, {"net0": "name=eth0,bridge=vmbr1"}, "/sdn/zones/localnetwork/vmbr0, SDN.Use"),
        (CT, {"delete": "rootfs"}, "/vms/9001, VM.Config.Disk"),
        (VM, {"cores": "3"}, "/vms/9000, VM.Config.CPU"),
        (VM, {"bios": "ovmf"}, "/vms/9000, VM.Config.Options"),
        (VM, {"scsi1": "local-lvm:1"}, "/vms/9000, VM.Config.Disk"),
    ):
        refusal = pve.refusal("PUT", f"{guest}/config", "net@pve", **options)
        assert refusal == f"403 Permission check failed ({missing})"


def test_bad_options_are_refused_with_proxmoxs_words(pve: Pve) -> None:
    assert pve.refusal("PUT", f"{CT}/config") == "500 no options specified"
    refusal = pve.refusal("PUT", f"{CT}/config", net0="bridge=vmbr0", cores="many", hostname="a b")
    assert "cores: type check ('integer') failed - got 'many'" in refusal
    assert "hostname: invalid format - value does not look like a valid DNS name" in refusal
    assert "net0.name: property is missing and it is not optional" in refusal
    assert "revert: unknown option 'x1'" in pve.refusal("PUT", f"{CT}/config", revert="x1")
    stale = pve.refusal("PUT", f"{CT}/config", cores="2", digest="0" * 40)
    assert stale.startswith("500 detected modified configuration")


def test_a_disk_that_is_taken_out_is_kept_until_it_is_deleted(pve: Pve) -> None:
    pve.put(f"{VM}/config", scsi1="local-lvm:3")
    assert pve.get(f"{VM}/config")["scsi1"] == "local-lvm:vm-9000-disk-1,size=3G"
    pve.put(f"{VM}/config", delete="scsi1")
    assert pve.get(f"{VM}/config")["unused0"] == "local-lvm:vm-9000-disk-1"
    pve.put(f"{VM}/config", delete="unused0")
    assert not (pve.run / "storage/local-lvm/images/vm-9000-disk-1").exists()


def test_a_description_is_kept_as_it_was_written(pve: Pve) -> None:
    text = "made by a drill\n100% sure: yes\n"
    pve.put(f"{CT}/config", description=text)
    assert pve.get(f"{CT}/config")["description"] == text
    pve.post(f"{CT}/snapshot", snapname="s1", description="why")
    assert pve.get(f"{CT}/config")["description"] == text
    assert pve.get(f"{CT}/snapshot/s1/config")["description"] == "why\n"


def test_a_new_guest_is_little_known_at_first(pve: Pve) -> None:
    pve.post(f"{NODE}/qemu", vmid=9960, name="new")
    rows = {row["vmid"]: row for row in pve.get("/cluster/resources", type="vm")}
    assert rows[9960] == {
        "id": "qemu/9960",
        "type": "qemu",
        "node": "demo-felhom",
        "vmid": 9960,
        "status": "unknown",
    }
    pve.now += 10
    rows = {row["vmid"]: row for row in pve.get("/cluster/resources", type="vm")}
    assert (rows[9960]["name"], rows[9960]["status"]) == ("new", "stopped")
