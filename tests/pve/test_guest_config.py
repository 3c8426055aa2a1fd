"""The configuration of a guest, read and compared as a restore drill needs it."""

from __future__ import annotations

import pytest

from reconciler.pve.guest_config import (
    LXC,
    QEMU,
    Bridge,
    bridges,
    differences,
    host_devices,
    is_down,
    mac_of,
    memory_bytes,
    only_for_root,
    parse_config,
    pulled,
    size_bytes,
    volumes,
    wants_agent,
)

CT = """#our web server%0Aof 2024
arch: amd64
features: nesting=1
memory: 512
mp0: /srv/data,mp=/data
mp1: nas:101/vm-101-disk-1.raw,mp=/var/lib,backup=1,size=2T
net0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:90:01,ip=dhcp,tag=7,type=veth
rootfs: local-lvm:vm-101-disk-0,size=4G
unprivileged: 1
lxc.apparmor.profile: unconfined

[before]
memory: 1024
"""
VM = """agent: 1,fstrim_cloned_disks=1
boot: order=scsi0;net0
efidisk0: local-lvm:vm-100-disk-1,efitype=4m,size=4M
hostpci0: 0000:01:00.0
hostpci1: mapping=gpu
ide2: local:iso/debian.iso,media=cdrom,size=600M
memory: 4096
net0: virtio=BC:24:11:00:90:00,bridge=vmbr0,trunks=5;7-9
net1: e1000=BC:24:11:00:90:02,bridge=vmbr1,link_down=1
scsi0: local-lvm:vm-100-disk-0,size=8G,ssd=1
scsi1: local-lvm:vm-100-disk-2,backup=0,size=500G
smbios1: uuid=00000000-0000-4000-8000-000000009000
usb0: spice
usb1: host=1234:5678
"""


def test_only_the_guest_as_it_was_saved_counts() -> None:
    found = parse_config(CT)
    assert found["memory"] == "512"
    assert found["lxc.apparmor.profile"] == "unconfined"
    assert not [key for key in found if key.startswith("#")]


def test_volumes() -> None:
    found = {one.key: one for one in volumes(LXC, parse_config(CT))}
    assert sorted(found) == ["mp0", "mp1", "rootfs"]
    assert [key for key, one in found.items() if one.is_shared] == ["mp0"]
    assert found["mp1"].options == {"mp": "/var/lib", "backup": "1"}
    assert (found["mp1"].size, found["rootfs"].size) == (2 * 1024**4, 4 * 1024**3)
    assert [one.key for one in volumes(QEMU, parse_config(VM))] == ["efidisk0", "scsi0"]


@pytest.mark.parametrize(
    ("text", "size"), [("8G", 8 * 1024**3), ("1.5K", 1536), ("0T", 0), ("many", 0), ("12", 12)]
)
def test_sizes(text: str, size: int) -> None:
    assert size_bytes(text) == size


def test_devices_of_the_node() -> None:
    config = parse_config(VM)
    assert host_devices(QEMU, config) == ["hostpci0", "hostpci1", "usb1"]
    assert only_for_root(QEMU, config) == ["hostpci0", "usb1"]
    assert host_devices(LXC, {"dev0": "/dev/ttyUSB0"}) == ["dev0"]
    assert only_for_root(LXC, {"dev0": "/dev/ttyUSB0"}) == []


def test_networks() -> None:
    assert list(bridges(parse_config(CT))) == [Bridge("vmbr0", ("7",))]
    assert list(bridges(parse_config(VM))) == [Bridge("vmbr0", ("5", "7-9")), Bridge("vmbr1")]
    nic = parse_config(VM)["net0"]
    assert mac_of(nic) == "BC:24:11:00:90:00"
    assert is_down(pulled(nic))
    assert pulled(pulled(nic)) == pulled(nic)
    assert not is_down(nic)


def test_memory_and_agent() -> None:
    assert memory_bytes(parse_config(VM)) == 4 * 1024**3
    assert memory_bytes({"memory": "current=2048"}) == 2 * 1024**3
    assert memory_bytes({}) == 512 * 1024**2
    assert wants_agent(parse_config(VM))
    assert wants_agent({"agent": "enabled=1"})
    assert not wants_agent({"agent": "0"})
    assert not wants_agent({})


def test_what_a_restore_changes_by_itself_is_not_a_difference() -> None:
    saved = parse_config(VM)
    restored = {
        **saved,
        "net0": "virtio=BC:24:11:AA:AA:AA,bridge=vmbr0,link_down=1,trunks=5;7-9",
        "scsi0": "drill:9900/vm-9900-disk-0.raw,size=8192M,ssd=1",
        "efidisk0": "drill:9900/vm-9900-disk-1.raw,efitype=4m,size=4M",
        "name": "drill-100",
        "description": "pvectl-drill-1",
        "onboot": "0",
        "smbios1": "uuid=another",
        "digest": "1234",
        "cipassword": "**********",
    }
    del restored["scsi1"]
    assert differences(QEMU, saved, restored) == []


def test_what_differs_is_named() -> None:
    saved = parse_config(CT)
    restored = {
        key: text for key, text in saved.items() if key not in ("features", "unprivileged", "mp0")
    }
    restored["rootfs"] = "drill:9900/vm-9900-disk-0.raw,size=8G"
    found = differences(LXC, saved, restored, left_out=frozenset({"mp0"}))
    assert found == [
        ("features", "nesting=1", ""),
        ("rootfs", f"size={4 * 1024**3}", f"size={8 * 1024**3}"),
        ("unprivileged", "1", ""),
    ]
