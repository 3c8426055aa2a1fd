"""Snapshots of guests (PVE::AbstractConfig): a copy of the options, and one of each disk."""

from __future__ import annotations

import shutil

from reconciler.sandbox.context import Context
from reconciler.sandbox.failure import died
from reconciler.sandbox.guest.config_file import GuestFile, Part, editing_guest, load
from reconciler.sandbox.guest.images import image_folder, snapshot_folder
from reconciler.sandbox.guest.power import is_running
from reconciler.sandbox.guest.starting import go_down
from reconciler.sandbox.guest.volumes import active_storage, split_volume, storage_of_id
from reconciler.sandbox.guests import LXC, Guest
from reconciler.sandbox.storage.disks import disks
from reconciler.sandbox.tasks import Worker

_OF_THE_SNAPSHOT = ("snapstate", "snaptime", "vmstate", "description", "lock")
_ABLE = ("btrfs", "lvmthin", "rbd", "zfs", "zfspool")


def take(ctx: Context, worker: Worker, kind: str, vmid: int, name: str, comment: str) -> None:
    """The guest is locked while the snapshot is taken; a failed snapshot leaves nothing behind."""
    with editing_guest(ctx, kind, vmid) as guest:
        _check_take(ctx, guest, vmid, name)
        values = {
            key: text
            for key, text in guest.values.items()
            if key not in _OF_THE_SNAPSHOT and not key.startswith("unused")
        }
        values["snaptime"] = str(ctx.now)
        if comment:
            values["description"] = comment
        for other in guest.snapshots.values():
            if other.values.get("parent") == name:
                del other.values["parent"]
        guest.snapshots[name] = Part(values, list(guest.current.raw))
        guest.values["lock"] = "snapshot"
    try:
        worker.spend()
        for volume in _volumes(ctx, values, kind, vmid):
            _copy(ctx, volume, name)
    except BaseException:
        _remove(ctx, kind, vmid, name)
        raise
    with editing_guest(ctx, kind, vmid) as guest:
        guest.values.pop("lock", None)
        guest.values["parent"] = name


def _check_take(ctx: Context, guest: GuestFile, vmid: int, name: str) -> None:
    if guest.values.get("template") == "1":
        raise died("you can't take a snapshot if it's a template")
    guest.check_lock()
    if name in guest.snapshots:
        raise died(f"snapshot name '{name}' already used")
    volumes = _volumes(ctx, guest.values, guest.kind, vmid)
    if not all(_can_snapshot(ctx, guest.kind, volume) for volume in volumes):
        raise died("snapshot feature is not available")
    for volume in volumes:
        active_storage(ctx, volume.partition(":")[0])


def _can_snapshot(ctx: Context, kind: str, volume: str) -> bool:
    split = split_volume(volume)
    if split is None:
        return False
    qcow2 = kind != LXC and split[1].endswith(".qcow2")
    return qcow2 or storage_of_id(ctx, split[0]).type in _ABLE


def _volumes(ctx: Context, values: dict[str, str], kind: str, vmid: int) -> list[str]:
    return [disk.volume for disk in disks(Guest(vmid, kind, ctx.node, values))]


def _copy(ctx: Context, volume: str, name: str) -> None:
    folder, copy = image_folder(ctx.store, volume), snapshot_folder(ctx.store, volume, name)
    shutil.rmtree(copy, ignore_errors=True)
    if folder.is_dir():
        shutil.copytree(folder, copy)
    else:
        copy.mkdir(parents=True)


def _part(guest: GuestFile, name: str) -> Part:
    if name not in guest.snapshots:
        raise died(f"snapshot '{name}' does not exist")
    return guest.snapshots[name]


def delete(ctx: Context, worker: Worker, kind: str, vmid: int, name: str) -> None:
    with editing_guest(ctx, kind, vmid) as guest:
        _part(guest, name)
        guest.check_lock()
        if guest.values.get("template") == "1":
            raise died("you can't delete a snapshot if vm is a template")
        guest.values["lock"] = "snapshot-delete"
    worker.spend()
    _remove(ctx, kind, vmid, name)


def _remove(ctx: Context, kind: str, vmid: int, name: str) -> None:
    """Its children become children of its parent."""
    with editing_guest(ctx, kind, vmid) as guest:
        gone = guest.snapshots.pop(name)
        guest.values.pop("lock", None)
        for part in (guest.current, *guest.snapshots.values()):
            if part.values.get("parent") == name:
                part.values.pop("parent")
                if "parent" in gone.values:
                    part.values["parent"] = gone.values["parent"]
    for volume in _volumes(ctx, gone.values, kind, vmid):
        shutil.rmtree(snapshot_folder(ctx.store, volume, name), ignore_errors=True)


def roll_back(ctx: Context, worker: Worker, kind: str, vmid: int, name: str) -> None:
    """Roll the guest back; a running one is stopped first."""
    guest = load(ctx, kind, vmid)
    if guest.values.get("template") == "1":
        raise died("you can't rollback if vm is a template")
    part = _part(guest, name)
    guest.check_lock()
    if is_running(ctx.store, vmid):
        go_down(ctx, worker, kind, vmid, 0, force=True)
    worker.spend()
    for volume in _volumes(ctx, part.values, kind, vmid):
        folder, copy = image_folder(ctx.store, volume), snapshot_folder(ctx.store, volume, name)
        shutil.rmtree(folder, ignore_errors=True)
        if copy.is_dir():
            shutil.copytree(copy, folder)
    with editing_guest(ctx, kind, vmid) as now:
        kept = {key: text for key, text in part.values.items() if key not in _OF_THE_SNAPSHOT}
        if "description" in now.values:
            kept["description"] = now.values["description"]
        now.current = Part({**kept, "parent": name}, list(part.raw))
