"""Single volumes of a storage, and pruning (PVE::API2::Storage::Content, PruneBackups)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reconciler.pve.schema import Param
from reconciler.sandbox.backup.archives import (
    PROTECTED_LIMIT,
    REMOVE,
    Archive,
    archives,
    beside,
    log_of,
    marked,
    refuse_listed,
    remove_archive,
)
from reconciler.sandbox.backup.listed import refuse_unlisted, zone_of
from reconciler.sandbox.checks import everybody, perm
from reconciler.sandbox.config.jobcfg import properties
from reconciler.sandbox.config.sections import Section
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.failure import ApiError, bad_parameters, died
from reconciler.sandbox.guest.images import free_image, image_size
from reconciler.sandbox.guest.volumes import (
    Volume,
    active_storage,
    archive_of,
    check_access,
    split_volume,
    storage_of_id,
    volume,
)
from reconciler.sandbox.http.routes import Routes
from reconciler.sandbox.tasks import Worker, run_task, upid_or_none

routes = Routes()

_STORAGE = "/nodes/{node}/storage/{storage}"
_CONTENT = f"{_STORAGE}/content/{{volume*}}"
_PRUNE = f"{_STORAGE}/prunebackups"
_ONE = {
    "node": Param(format="pve-node"),
    "storage": Param(format="pve-storage-id", optional=True),
    "volume": Param(),
}
_UPDATE = {**_ONE, "notes": Param(optional=True), "protected": Param(type="boolean", optional=True)}
_DELETE = {**_ONE, "delay": Param(type="integer", minimum=1, maximum=30, optional=True)}
_KEEP = Param(format="prune-backups", optional=True)
_PREVIEW = {
    "node": Param(format="pve-node"),
    "storage": Param(format="pve-storage-id"),
    "prune-backups": _KEEP,
    "type": Param(enum=("qemu", "lxc"), optional=True),
    "vmid": Param(
        type="integer", format="pve-vmid", minimum=100, maximum=999_999_999, optional=True
    ),
}
_SECTOR, _BLOCK = 512, 4096
"""Bytes: sizes are in whole sectors, used space in whole blocks."""


@routes.get(_CONTENT, everybody, _ONE)
def info(ctx: Context, params: Params) -> dict[str, Any]:
    found = _volume(ctx, params)
    check_access(ctx, None, str(found))
    section = storage_of_id(ctx, found.storage)
    archive = archive_of(ctx, found)
    row = _archive_info(section, found, archive) if archive else _image_info(ctx, section, found)
    if archive is not None:
        row |= {"notes": archive.notes, "protected": int(archive.protected)}
    return row


def _archive_info(section: Section, found: Volume, archive: Archive) -> dict[str, Any]:
    size = archive.size
    if not size:
        raise died(f"volume '{found}' has size zero")
    path, format_ = _path(section, found), "raw"
    if section.type == "pbs":
        format_ = "pbs-ct" if archive.type == "lxc" else "pbs-vm"
        return {"path": path, "size": size, "used": size, "format": format_}
    return {
        "path": path,
        "size": -(-size // _SECTOR) * _SECTOR,
        "used": -(-size // _BLOCK) * _BLOCK,
        "format": format_,
    }


def _image_info(ctx: Context, section: Section, found: Volume) -> dict[str, Any]:
    size = image_size(ctx.store, str(found)) if found.content == "images" else None
    if size is None:
        raise died(f"volume_size_info on '{found}' failed - no format")
    subvol = Path(found.name).suffix == ".subvol" or found.name.startswith("subvol-")
    format_ = "subvol" if subvol else "raw"
    return {"path": _path(section, found), "size": size, "used": size, "format": format_}


def _path(section: Section, found: Volume) -> str:
    values = section.values
    if section.type == "pbs":
        user, server = values.get("username", "root@pam"), values["server"]
        name = found.name.removeprefix("backup/")
        return f"pbs://{user}@{server}:{values['datastore']}/{name}"
    if "path" in values:
        folders = {"backup": "dump", "iso": "template/iso", "vztmpl": "template/cache"}
        folder = folders.get(found.content, found.content)
        name = found.name if found.content == "images" else found.name.partition("/")[2]
        return f"{values['path']}/{folder}/{name}"
    pool = values.get("vgname") or values.get("pool") or found.storage
    return f"/dev/{pool}/{found.name}"


@routes.put(_CONTENT, everybody, _UPDATE)
def update(ctx: Context, params: Params) -> None:
    """Notes and protection of an archive."""
    found = _volume(ctx, params)
    check_access(ctx, None, str(found))
    section = storage_of_id(ctx, found.storage)
    refuse_listed(archive_of(ctx, found))
    for name in ("notes", "protected"):
        if name not in params:
            continue
        if found.content != "backup":
            refusal = "only backups can have notes"
            protected = "only backups support attribute 'protected'"
            raise died(refusal if name == "notes" else protected)
        archive = archive_of(ctx, found)
        if archive is None:
            raise died(f"volume '{found}' does not exist")
        if name == "notes":
            _set_notes(archive, params.need("notes"))
        else:
            _set_protected(ctx, section, found, archive, wanted=params.flag("protected"))


def _set_notes(archive: Archive, notes: str) -> None:
    path = beside(archive.path, ".notes")
    if notes:
        path.write_text(notes, "utf-8")
    else:
        path.unlink(missing_ok=True)


def _set_protected(
    ctx: Context, section: Section, found: Volume, archive: Archive, *, wanted: bool
) -> None:
    path = beside(archive.path, ".protected")
    if not wanted:
        path.unlink(missing_ok=True)
        return
    if archive.protected:
        return
    most = section.values.get("max-protected-backups")
    if most is None:
        free = ctx.may(f"/storage/{found.storage}", ["Datastore.Allocate"])
        most = -1 if free else PROTECTED_LIMIT
    counted = sum(
        other.protected
        for other in archives(ctx, found.storage)
        if (other.type, other.guest) == (archive.type, archive.guest)
    )
    if archive.guest is not None and -1 < int(most) <= counted:
        raise died(
            f"The number of protected backups per guest is limited to {most} "
            f"on storage '{found.storage}'"
        )
    path.touch()


@routes.delete(_CONTENT, everybody, _DELETE)
def delete(ctx: Context, params: Params) -> str | None:
    """A task; with `delay` the call waits for it and fails if the task does."""
    found = _volume(ctx, params)
    place = f"/storage/{found.storage}"
    if found.content == "backup" and found.guest is not None:
        ctx.require(place, ["Datastore.AllocateSpace"])
        ctx.require(f"/vms/{found.guest}", ["VM.Backup"])
    else:
        ctx.require(place, ["Datastore.Allocate"])

    def work(worker: Worker) -> None:
        _free(ctx, found, worker)
        worker.log(f"Removed volume '{found}'")

    name = f"{found.guest}@{found.storage}" if found.guest is not None else found.storage
    upid = run_task(ctx, "imgdel", name, work)
    return upid_or_none(ctx.store, upid, params.number("delay") or 0)


def _free(ctx: Context, found: Volume, worker: Worker) -> None:
    section = active_storage(ctx, found.storage)
    if found.content == "images":
        free_image(ctx.store, str(found))
        return
    archive = archive_of(ctx, found)
    if archive is None:
        worker.log(f"disk image '{_path(section, found)}' does not exist")
        return
    if archive.protected:
        raise died(f"cannot remove protected volume '{found.name}' on '{found.storage}'")
    remove_archive(archive)
    log_of(archive).unlink(missing_ok=True)


@routes.get(
    _PRUNE,
    perm("/storage/{storage}", "Datastore.Audit", "Datastore.AllocateSpace", some=True),
    _PREVIEW,
)
def preview(ctx: Context, params: Params) -> list[dict[str, Any]]:
    """What a run would remove; not filtered by guest."""
    section, found = _pruned(ctx, params)
    name = params.need("storage")
    rows = []
    for archive, mark in found:
        row: dict[str, Any] = {
            "volid": archive.volume(name, section.type),
            "ctime": archive.ctime,
            "type": archive.type,
            "mark": mark,
        }
        rows.append(row if archive.guest is None else {**row, "vmid": archive.guest})
    return rows


@routes.delete(_PRUNE, everybody, {**_PREVIEW, "prune-backups": Param(format="prune-backups")})
def prune(ctx: Context, params: Params) -> str:
    name, guest = params.need("storage"), params.number("vmid")
    if guest is not None:
        ctx.require(f"/storage/{name}", ["Datastore.AllocateSpace"])
        ctx.require(f"/vms/{guest}", ["VM.Backup"])
    else:
        ctx.require(f"/storage/{name}", ["Datastore.Allocate"])

    def work(worker: Worker) -> None:
        section, found = _pruned(ctx, params)
        for archive, mark in found:
            if mark == REMOVE:
                worker.log(f"removing backup '{archive.volume(name, section.type)}'")
                remove_archive(archive)

    return run_task(ctx, "prunebackups", f"{guest}@{name}" if guest is not None else name, work)


def _pruned(ctx: Context, params: Params) -> tuple[Section, list[tuple[Archive, str]]]:
    name, guest, kind = params.need("storage"), params.number("vmid"), params.text("type")
    section = storage_of_id(ctx, name)
    if "backup" not in section.values["content"]:
        raise died(f"storage '{name}' does not support backups")
    rules = params.text("prune-backups") or section.values.get("prune-backups")
    if rules is None:
        raise died(f"no prune-backups options configured for storage '{name}'")
    keep = properties("prune-backups", rules) if isinstance(rules, str) else rules
    active_storage(ctx, name)
    refuse_unlisted(ctx.store, name)
    found = [
        archive
        for archive in archives(ctx, name)
        if guest in (None, archive.guest) and kind in (None, archive.type)
    ]
    return section, marked(found, keep, zone_of(ctx.store))


def _volume(ctx: Context, params: Params) -> Volume:
    """The volume in the path, with or without its storage."""
    text, storage = params.need("volume"), params.need("storage")
    if ":" in text:
        split = split_volume(text)
        complaint = f"unable to parse volume ID '{text}'\n"
        if split is not None and split[0] != storage:
            complaint = f"storage ID mismatch ({split[0]} != {storage})\n"
        elif split is not None:
            return volume(ctx, text)
        raise bad_parameters({"volume": complaint})
    try:
        return volume(ctx, f"{storage}:{text}")
    except ApiError as error:
        raise bad_parameters({"volume": error.message}) from error
