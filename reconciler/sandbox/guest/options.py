"""The options of guests, as parameters and in their files."""

from __future__ import annotations

from typing import Any

from reconciler.pve.schema import Param, ParameterTable
from reconciler.sandbox.guests import LXC

VMID = Param(type="integer", format="pve-vmid", minimum=100, maximum=999_999_999)
GUEST: ParameterTable = {"node": Param(format="pve-node"), "vmid": VMID}
"""The parameters of every path below a guest."""

_FLAG = Param(type="boolean", optional=True)
_TEXT = Param(optional=True)


def _whole(minimum: int | None = None, maximum: int | None = None) -> Param:
    return Param(type="integer", minimum=minimum, maximum=maximum, optional=True)


def _choice(*words: str) -> Param:
    return Param(enum=words, optional=True)


def _formatted(name: str, max_length: int | None = None) -> Param:
    return Param(format=name, max_length=max_length, optional=True)


def _numbered(name: str, count: int, param: Param) -> dict[str, Param]:
    return {f"{name}{number}": param for number in range(count)}


_BOTH: dict[str, Param] = {
    "cores": _whole(1, 8192),
    "cpulimit": Param(type="number", minimum=0, maximum=8192, optional=True),
    "cpuunits": _whole(0, 500_000),
    "description": Param(max_length=8192, optional=True),
    "hookscript": _TEXT,
    "nameserver": _TEXT,
    "onboot": _FLAG,
    "protection": _FLAG,
    "searchdomain": _TEXT,
    "startup": _TEXT,
    "tags": _formatted("pve-tag-list"),
    "template": _FLAG,
    **_numbered("unused", 256, _TEXT),
}

LXC_OPTIONS: ParameterTable = {
    **_BOTH,
    "arch": _choice("amd64", "i386", "arm64", "armhf", "riscv32", "riscv64"),
    "cmode": _choice("shell", "console", "tty"),
    "console": _FLAG,
    "debug": _FLAG,
    "entrypoint": _TEXT,
    "env": _TEXT,
    "features": _formatted("pve-ct-features"),
    "hostname": _formatted("dns-name", 255),
    "lock": _choice(
        *("backup", "create", "destroyed", "disk", "fstrim", "migrate", "mounted", "rollback"),
        *("snapshot", "snapshot-delete"),
    ),
    "memory": _whole(16),
    "ostype": _choice(
        *("debian", "devuan", "ubuntu", "centos", "fedora", "opensuse", "archlinux", "alpine"),
        *("gentoo", "nixos", "unmanaged"),
    ),
    "rootfs": _formatted("pve-ct-rootfs"),
    "swap": _whole(0),
    "timezone": _TEXT,
    "tty": _whole(0, 6),
    "unprivileged": _FLAG,
    **_numbered("dev", 256, _TEXT),
    **_numbered("mp", 256, _formatted("pve-ct-mountpoint")),
    **_numbered("net", 32, _formatted("pve-lxc-network")),
}

_QEMU_FLAGS = (
    *("acpi", "allow-ksm", "autostart", "ciupgrade", "freeze", "keephugepages", "kvm", "localtime"),
    *("numa", "reboot", "tablet", "tdf"),
)
_QEMU_TEXTS = (
    *("agent", "amd-sev", "arch", "args", "audio0", "bios", "boot", "bootdisk", "cdrom"),
    *("cicustom", "cipassword", "citype", "ciuser", "cpu", "efidisk0", "hotplug", "hugepages"),
    *("intel-tdx", "ivshmem", "keyboard", "lock", "machine", "memory", "meta", "ostype"),
    *("migrate_downtime", "rng0", "scsihw", "smbios1", "spice_enhancements", "sshkeys"),
    *("startdate", "tpmstate0", "vga", "vmgenid", "vmstatestorage", "watchdog"),
)

QEMU_OPTIONS: ParameterTable = {
    **_BOTH,
    **dict.fromkeys(_QEMU_FLAGS, _FLAG),
    **dict.fromkeys(_QEMU_TEXTS, _TEXT),
    "balloon": _whole(0),
    "cores": _whole(1),
    "cpulimit": Param(type="number", minimum=0, maximum=128, optional=True),
    "cpuunits": _whole(1, 262_144),
    "migrate_speed": _whole(0),
    "name": _formatted("dns-name"),
    "shares": _whole(0, 50_000),
    "smp": _whole(1),
    "sockets": _whole(1),
    "vcpus": _whole(1),
    **_numbered("hostpci", 16, _TEXT),
    **_numbered("ide", 4, _TEXT),
    **_numbered("ipconfig", 32, _TEXT),
    **_numbered("net", 32, _TEXT),
    **_numbered("numa", 8, _TEXT),
    **_numbered("parallel", 3, _TEXT),
    **_numbered("sata", 6, _TEXT),
    **_numbered("scsi", 31, _TEXT),
    **_numbered("serial", 4, _TEXT),
    **_numbered("usb", 14, _TEXT),
    **_numbered("virtio", 16, _TEXT),
    **_numbered("virtiofs", 10, _TEXT),
}


def options_of(kind: str) -> ParameterTable:
    return LXC_OPTIONS if kind == LXC else QEMU_OPTIONS


def answered(kind: str, values: dict[str, str]) -> dict[str, Any]:
    """The options as PVE returns them: integers and booleans as numbers."""
    table = options_of(kind)
    numbers = {name for name, row in table.items() if row.type in ("integer", "boolean")}
    numbers |= {"snaptime"}
    return {
        key: int(value) if key in numbers and value.lstrip("-").isdigit() else value
        for key, value in values.items()
    }
