"""The guests of the cluster, from the files `nodes/NODE/{qemu-server,lxc}/ID.conf`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.sandbox.store import Store

_FILE = re.compile(r"[1-9][0-9]{2,8}")
_SETTING = re.compile(r"([a-z][a-z_]*\d*):\s*(.*?)\s*")
_QEMU_DISK = re.compile(r"(?:ide|sata|scsi|virtio|efidisk|tpmstate)\d+")
_LXC_DISK = re.compile(r"rootfs|mp\d+")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?)")
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}

FOLDERS = {"qemu": "qemu-server", "lxc": "lxc"}
"""type of guest -> the folder of its files"""


@dataclass(frozen=True, slots=True)
class Disk:
    """`key` as in the guest's file; `size` in bytes, 0 when the file does not tell."""

    key: str
    volume: str
    size: int
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Guest:
    """`type` is qemu or lxc; `config` the current settings, without snapshots."""

    id: int
    type: str
    node: str
    config: Mapping[str, str]

    @property
    def name(self) -> str:
        if self.type == "lxc":
            return self.config.get("hostname", f"CT{self.id}")
        return self.config.get("name", f"VM {self.id}")

    @property
    def cpus(self) -> int:
        if self.type == "lxc":
            return int(self.config.get("cores", "1"))
        return int(self.config.get("sockets", "1")) * int(self.config.get("cores", "1"))

    @property
    def memory(self) -> int:
        """Bytes."""
        return _mebibytes(self.config.get("memory", "512"))

    @property
    def swap(self) -> int:
        """Bytes; of containers only."""
        return _mebibytes(self.config.get("swap", "512"))

    @property
    def template(self) -> int:
        return int(self.config.get("template", "0") == "1")

    @property
    def disks(self) -> tuple[Disk, ...]:
        """Without CD-ROM drives and disks that do not exist."""
        kind = _LXC_DISK if self.type == "lxc" else _QEMU_DISK
        found = (_disk(key, self.config[key]) for key in sorted(self.config) if kind.fullmatch(key))
        return tuple(
            disk
            for disk in found
            if disk.options.get("media") != "cdrom" and disk.volume not in ("", "none", "cdrom")
        )

    @property
    def root_size(self) -> int:
        """Bytes of the disk that it starts from."""
        wanted = [*re.split(r"[;,=]", self.config.get("boot", "")), "rootfs"]
        by_key = {disk.key: disk.size for disk in self.disks}
        return next((by_key[key] for key in wanted if key in by_key), 0)


def guests(store: Store) -> dict[int, Guest]:
    """All guests by id, sorted as text, as PVE sorts them."""
    found = [
        Guest(int(path.stem), kind, node.name, _settings(path))
        for node in sorted((store.folder / "nodes").glob("*"))
        for kind, folder in FOLDERS.items()
        for path in sorted((node / folder).glob("*.conf"))
        if _FILE.fullmatch(path.stem)
    ]
    return {guest.id: guest for guest in sorted(found, key=lambda guest: str(guest.id))}


def _settings(path: Path) -> dict[str, str]:
    settings: dict[str, str] = {}
    for line in path.read_text("utf-8", "replace").splitlines():
        if line.startswith("["):
            break
        found = _SETTING.fullmatch(line)
        if found is not None:
            settings[found[1]] = found[2]
    return settings


def _disk(key: str, text: str) -> Disk:
    volume, *rest = text.split(",")
    options = dict(part.partition("=")[::2] for part in rest)
    return Disk(key, volume.removeprefix("file="), _bytes(options.get("size", "")), options)


def _bytes(text: str) -> int:
    found = _SIZE.fullmatch(text)
    return int(float(found[1]) * _UNITS[found[2]]) if found is not None else 0


def _mebibytes(text: str) -> int:
    found = re.match(r"(?:current=)?(\d+)", text)
    return int(found[1]) * 1024**2 if found is not None else 0
