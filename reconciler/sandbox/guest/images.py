"""The disks of guests in the sandbox: folders in `FOLDER.run/storage/ID/images`. A disk holds a few
small files of the guest's own file system. The folder need not exist: then the disk is empty. A
guest's behaviour is among its files (`behaviour.py`), so backups include it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from reconciler.sandbox.config.sections import Section
from reconciler.sandbox.config.storagecfg import storages
from reconciler.sandbox.config.store import Store
from reconciler.sandbox.context import Context
from reconciler.sandbox.guests import Guest, guests
from reconciler.sandbox.storage.disks import Disk, disks

_WITHOUT_BASES = frozenset({"iscsi", "iscsidirect", "lvm"})
_UNITS = ("", "K", "M", "G", "T")


def image_folder(store: Store, volume: str) -> Path:
    """The folder of a volume `STORAGE:NAME`."""
    storage, _, name = volume.partition(":")
    return store.run_folder / "storage" / storage / "images" / name


def image_size(store: Store, volume: str) -> int | None:
    """Bytes, from the guest's file; None if no guest has such a disk."""
    found = (disk.size for guest in guests(store) for disk in disks(guest) if disk.volume == volume)
    return next(found, None)


def free_image(store: Store, volume: str) -> None:
    """Delete a volume and its snapshots."""
    folder = image_folder(store, volume)
    for path in (folder, *folder.parent.glob(f"{folder.name}@*")):
        shutil.rmtree(path, ignore_errors=True)
    parent = folder.parent
    if parent.name.isdigit() and parent.is_dir() and not any(parent.iterdir()):
        parent.rmdir()


def snapshot_folder(store: Store, volume: str, name: str) -> Path:
    folder = image_folder(store, volume)
    return folder.with_name(f"{folder.name}@{name}")


def as_bases(ctx: Context, drives: Mapping[str, str]) -> dict[str, str]:
    """The disks of a template, renamed (`template_create`); unchanged on a storage without base
    volumes."""
    found = {}
    for key, text in drives.items():
        volume, comma, options = text.partition(",")
        storage, _, name = volume.partition(":")
        section = storages(ctx.store).get(storage)
        base = re.sub(r"(^|/)(?:vm|subvol)-", r"\1base-", name)
        if section is not None and section.type not in _WITHOUT_BASES and base != name:
            old = image_folder(ctx.store, volume)
            if old.is_dir():
                old.rename(image_folder(ctx.store, f"{storage}:{base}"))
            volume = f"{storage}:{base}"
        found[key] = f"{volume}{comma}{options}"
    return found


def new_volume(
    store: Store, storage: str, section: Section, guest: int, size: int, taken: Iterable[str]
) -> str:
    """A free volume id for a disk of `size` bytes; 0: a folder, if the storage supports it."""
    number = 0
    used = set(taken) | {disk.volume for one in guests(store) for disk in disks(one)}
    while True:
        volume = f"{storage}:{_name(section, guest, number, size)}"
        if volume not in used and not image_folder(store, volume).exists():
            return volume
        number += 1


def _name(section: Section, guest: int, number: int, size: int | None) -> str:
    if section.type == "zfspool":
        return f"subvol-{guest}-disk-{number}"
    if "path" not in section.values:
        return f"vm-{guest}-disk-{number}"
    if size == 0:
        return f"{guest}/subvol-{guest}-disk-{number}.subvol"
    return f"{guest}/vm-{guest}-disk-{number}.raw"


def size_text(size: int) -> str:
    """Bytes as written in configuration files (`format_size`): 0T, 4G, 512M, 1000."""
    for unit in _UNITS[:-1]:
        if size % 1024:
            return f"{size}{unit}"
        size //= 1024
    return f"{size}{_UNITS[-1]}"


def size_bytes(text: str) -> int | None:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)", text)
    return int(float(found[1]) * 1024 ** _UNITS.index(found[2])) if found is not None else None


def owned(guest: Guest) -> list[Disk]:
    """The disks that belong to the guest: volumes with its number in the name."""
    mine = re.compile(rf"[^:]+:(?:\S*/)?(?:vm|base|subvol)-{guest.vmid}-\S+")
    return [disk for disk in disks(guest) if mine.fullmatch(disk.volume)]
