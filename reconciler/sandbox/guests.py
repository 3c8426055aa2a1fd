"""Guests, from their configuration files: nodes/NODE/{qemu-server,lxc}/ID.conf."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from reconciler.sandbox.config.perltext import file_text
from reconciler.sandbox.config.store import Store
from reconciler.sandbox.guest.power import known_guests

QEMU, LXC = "qemu", "lxc"
_FOLDERS = {QEMU: "qemu-server", LXC: "lxc"}
_FILE = re.compile(r"[1-9][0-9]{2,8}")
_MIB = 1024 * 1024
_UNITS = {"": 1, "K": 1024, "M": _MIB, "G": 1024**3, "T": 1024**4}
_BOOT_DISK = re.compile(r"(?:scsi|virtio|sata|ide)[0-9]+")


@dataclass(frozen=True, slots=True)
class Guest:
    """One guest; `config` has the keys of its file, without snapshots. `started`: when, in Unix
    seconds; None if it is stopped. `reported`: from when on the lists of the cluster show more than
    its id.
    """

    vmid: int
    kind: str
    node: str
    config: dict[str, str]
    started: int | None = None
    reported: int = 0

    @property
    def name(self) -> str:
        default = f"VM {self.vmid}" if self.kind == QEMU else f"CT{self.vmid}"
        return self.config.get("name" if self.kind == QEMU else "hostname", default)

    @property
    def template(self) -> bool:
        return self.config.get("template") == "1"

    @property
    def cpus(self) -> int:
        if self.kind == LXC:
            return self._number("cores", 1)
        return self._number("vcpus", self._number("sockets", 1) * self._number("cores", 1))

    @property
    def memory(self) -> int:
        """Bytes."""
        text = self.config.get("memory", "512").removeprefix("current=")
        return int(text.partition(",")[0]) * _MIB

    @property
    def swap(self) -> int:
        """Bytes; containers only."""
        return self._number("swap", 512) * _MIB

    @property
    def disk(self) -> int:
        """Bytes of the root or boot disk, 0 when there is none."""
        if self.kind == LXC:
            return _size(self.config.get("rootfs", ""))
        order = re.sub(r".*order=", "", self.config.get("boot", ""), flags=re.DOTALL)
        for key in (*re.split(r"[;,]", order), self.config.get("bootdisk", "")):
            if _BOOT_DISK.fullmatch(key) and "media=cdrom" not in self.config.get(key, ""):
                return _size(self.config.get(key, ""))
        return 0

    def _number(self, key: str, default: int) -> int:
        text = self.config.get(key, "")
        return int(text) if text.isdigit() else default


def guests(store: Store) -> list[Guest]:
    """All guests of all nodes, by id."""
    found = []
    known = known_guests(store)
    for kind, folder in _FOLDERS.items():
        for path in (store.folder / "nodes").glob(f"*/{folder}/*.conf"):
            if _FILE.fullmatch(path.stem):
                node = path.parent.parent.name
                name = f"nodes/{node}/{folder}/{path.name}"
                vmid, config = int(path.stem), store.parsed(name, _parse)
                started, reported = known.started.get(vmid), known.reported.get(vmid, 0)
                found.append(Guest(vmid, kind, node, config, started, reported))
    return sorted(found, key=lambda guest: guest.vmid)


def config_file(kind: str, node: str, vmid: str) -> str:
    """The file of a guest, relative to the folder."""
    return f"nodes/{node}/{_FOLDERS[kind]}/{vmid}.conf"


def figures(guest: Guest, now: int) -> dict[str, Any]:
    """The fields of every list and status; the usage of a running guest is invented."""
    row: dict[str, Any] = dict.fromkeys(
        ("cpu", "disk", "diskread", "diskwrite", "mem", "netin", "netout", "uptime"), 0
    )
    row |= {
        "vmid": guest.vmid,
        "name": guest.name,
        "status": "stopped",
        "maxmem": guest.memory,
        "maxdisk": guest.disk,
    }
    if guest.started is not None:
        row |= {
            "status": "running",
            "uptime": max(1, now - guest.started),
            "cpu": 0.01,
            "mem": guest.memory // 4,
        }
    if guest.config.get("tags"):
        row["tags"] = guest.config["tags"]
    if guest.config.get("lock"):
        row["lock"] = guest.config["lock"]
    return row


def _parse(raw: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in file_text(raw).split("\n"):
        if line.startswith("["):
            break
        key, colon, value = line.partition(":")
        if colon and not line.startswith("#"):
            found[key.strip()] = value.strip()
    return found


def _size(disk: str) -> int:
    found = re.search(r"(?:^|,)size=([0-9]+)([KMGT]?)", disk)
    return int(found[1]) * _UNITS[found[2]] if found else 0
