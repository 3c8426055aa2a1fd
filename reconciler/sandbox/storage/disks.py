"""The disks of guests, from their configuration files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.sandbox.guests import LXC, Guest

_QEMU_DISK = re.compile(r"(?:ide|sata|scsi|virtio|efidisk|tpmstate)\d+")
_LXC_DISK = re.compile(r"rootfs|mp\d+")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?)")
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


@dataclass(frozen=True, slots=True)
class Disk:
    """`key` as in the guest's file; `volume` is `STORAGE:NAME`, or a path."""

    key: str
    volume: str
    options: Mapping[str, str]

    @property
    def size(self) -> int:
        """Bytes, 0 if unknown."""
        found = _SIZE.fullmatch(self.options.get("size", ""))
        return int(float(found[1]) * _UNITS[found[2]]) if found is not None else 0


def disks(guest: Guest) -> list[Disk]:
    """Sorted by key; without CD-ROM drives."""
    kind = _LXC_DISK if guest.kind == LXC else _QEMU_DISK
    found = (_disk(key, guest.config[key]) for key in sorted(guest.config) if kind.fullmatch(key))
    return [
        disk for disk in found if disk.options.get("media") != "cdrom" and disk.volume != "none"
    ]


def backed_up(guest: Guest, disk: Disk) -> tuple[bool, str]:
    """Whether a backup of the guest includes the disk, and PVE's message why."""
    choice = disk.options.get("backup")
    if guest.kind != LXC:
        if disk.key.startswith(("efidisk", "tpmstate")):
            return True, "enabled"
        included = choice not in ("0", "no", "off", "false")
        return included, "enabled" if included else "disabled"
    if disk.key == "rootfs":
        return True, "rootfs"
    if ":" not in disk.volume:
        return False, "not a volume"
    included = choice in ("1", "yes", "on", "true")
    return included, "enabled" if included else "disabled"


def _disk(key: str, text: str) -> Disk:
    volume, *rest = text.split(",")
    pairs = (part.partition("=") for part in rest)
    return Disk(key, volume.removeprefix("file="), {name: value for name, _, value in pairs})
