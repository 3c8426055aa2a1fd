"""Saving a guest into an archive, and restoring it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from reconciler.sandbox.backup.archives import Archive, log_of
from reconciler.sandbox.backup.packing import (
    BadArchive,
    blobs_of_vma,
    config_of_tar,
    config_of_vma,
    extract_tar,
    files_of,
    pack,
    tar_of,
    unpack,
    vma_of,
)
from reconciler.sandbox.config.store import Store
from reconciler.sandbox.failure import died
from reconciler.sandbox.guest.config_file import GuestFile, Part, render_guest
from reconciler.sandbox.guest.images import image_folder
from reconciler.sandbox.guests import LXC, Guest
from reconciler.sandbox.storage.disks import Disk, backed_up, disks
from reconciler.sandbox.storage.space import check_space


def write_archive(
    store: Store, storage: str, archive: Archive, guest: Guest, file: GuestFile
) -> None:
    """Save the guest; raises if the storage is full."""
    values = {key: text for key, text in file.values.items() if key != "lock"}
    config = render_guest(GuestFile(file.kind, Part(values, file.current.raw))).decode()
    try:
        data = pack(_packed(store, guest, config), archive.format)
    except BadArchive as error:
        raise died(str(error)) from error
    check_space(store, storage, len(data), _full(archive))
    archive.path.parent.mkdir(parents=True, exist_ok=True)
    archive.path.write_bytes(data)


def write_log(archive: Archive, log: Iterable[str]) -> None:
    """The log of a backup, beside its archive."""
    log_of(archive).write_text("".join(f"{line}\n" for line in log), "utf-8")


def _full(archive: Archive) -> str:
    tool = {"zst": "zstd: error 70 : Write error : cannot write block"}.get(
        archive.format.rpartition(".")[2], "write failed"
    )
    return f"{tool} : No space left on device"


def _packed(store: Store, guest: Guest, config: str) -> bytes:
    saved = {
        disk.key: image_folder(store, disk.volume)
        for disk in disks(guest)
        if backed_up(guest, disk)[0]
    }
    if guest.kind == LXC:
        return tar_of(config, saved.get("rootfs", Path("/nonexistent")))
    hints = [_hint(disk) for disk in disks(guest) if disk.key in saved]
    return vma_of(config + "".join(hints), {key: files_of(saved[key]) for key in saved})


def _hint(disk: Disk) -> str:
    """Maps the devices of the archive to drives, for a restore."""
    storage = disk.volume.partition(":")[0]
    return f"#qmdump#map:{disk.key}:drive-{disk.key}:{storage}:raw:\n"


def saved_config(archive: Archive) -> str:
    """The configuration in an archive; raises with the messages of PVE's tools."""
    try:
        if archive.type == LXC or archive.format.startswith("tar"):
            return config_of_tar(_readable(archive))
        return config_of_vma(unpack(archive.path.read_bytes(), archive.format))
    except BadArchive as error:
        raise died(str(error)) from error


def _readable(archive: Archive) -> bytes:
    """The content that tar reads: nothing if it cannot be decompressed."""
    try:
        return unpack(archive.path.read_bytes(), archive.format)
    except BadArchive:
        return b""


def restore_files(store: Store, archive: Archive, volumes: Mapping[str, str]) -> None:
    """Fill new disks: key -> volume id. Other disks in the archive are skipped."""
    data = unpack(archive.path.read_bytes(), archive.format)
    if archive.type == LXC:
        _fill(data, image_folder(store, volumes["rootfs"]))
        return
    blobs = blobs_of_vma(data)
    for key, volume in volumes.items():
        if f"{key}.disk" in blobs:
            _fill(blobs[f"{key}.disk"], image_folder(store, volume))


def _fill(data: bytes, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    extract_tar(data, folder)
