"""The task that restores a virtual machine (`create_vm` of PVE::API2::Qemu, PVE::QemuServer)."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

from reconciler.pve.calls.guest_options import QEMU_DISK
from reconciler.sandbox.backup.archives import Archive
from reconciler.sandbox.backup.contents import restore_files, saved_config
from reconciler.sandbox.backup.packing import BadArchive
from reconciler.sandbox.context import Context
from reconciler.sandbox.failure import ApiError, died
from reconciler.sandbox.guest.config_file import (
    GuestFile,
    Part,
    editing_guest,
    load,
    parse_guest,
    save,
)
from reconciler.sandbox.guest.images import as_bases, free_image, image_folder, new_volume
from reconciler.sandbox.guest.mappings import check_mappings
from reconciler.sandbox.guest.nics import NET, check_bridge, new_mac, parse_nic
from reconciler.sandbox.guest.power import is_running
from reconciler.sandbox.guest.removal import add_to_pool, destroy_volumes
from reconciler.sandbox.guest.volumes import enabled_storage
from reconciler.sandbox.guests import QEMU, Guest
from reconciler.sandbox.storage.disks import disks
from reconciler.sandbox.storage.space import check_space
from reconciler.sandbox.tasks import Worker

_NOT_KEPT = re.compile(r"lock|parent|unused\d+")
_CLOUD_INIT = re.compile(r"([^:,/]+):(?:\d+/)?vm-\d+-cloudinit(\.\w+)?(,.*)?")


@dataclass(frozen=True, slots=True)
class MachineRestore:
    """A checked request. `storage` None: disks are restored to where they were. `given` overrides
    the archive. `existed`: the id is taken and its guest is overwritten. `from_server`: the archive
    is on a backup server, the only type of storage that `live` works with.
    """

    vmid: int
    archive: Archive
    storage: str | None
    given: dict[str, str]
    unique: bool
    pool: str | None
    existed: bool
    live: bool = False
    from_server: bool = False


def restore_machine(ctx: Context, worker: Worker, want: MachineRestore) -> None:
    """If the restore fails, the disks are removed, but the guest's file stays, as in PVE."""
    try:
        _restore(ctx, worker, want)
    except ApiError:
        with editing_guest(ctx, QEMU, want.vmid) as guest:
            guest.values.pop("lock", None)
        worker.log(
            "error before or during data restore, some or all disks were not completely restored. "
            f"VM {want.vmid} state is NOT cleaned up."
        )
        raise
    if want.pool:
        add_to_pool(ctx, want.vmid, want.pool)


def _restore(ctx: Context, worker: Worker, want: MachineRestore) -> None:
    failure = f"unable to restore VM {want.vmid} -"
    old = load(ctx, QEMU, want.vmid)
    old.check_protection(failure)
    if is_running(ctx.store, want.vmid):
        raise died(f"{failure} vm is running")
    _check_early(ctx, worker, want)
    if want.live and not want.from_server:
        raise died(
            "live-restore is only compatible with backup images from a Proxmox Backup Server"
        )
    tool = f"command 'vma extract -v -r fifo {want.archive.path.name}' failed: exit code 1"
    if want.archive.format.startswith("tar"):
        tool = f"command 'tar xf {want.archive.path.name} --to-command qmextract' failed"
        raise died(f"{tool}: exit code 2")
    worker.log(f"restore vma archive: {want.archive.path.name}")
    try:
        saved = parse_guest(QEMU, saved_config(want.archive).encode()).current
    except ApiError as error:
        worker.log(str(error).strip())
        raise died(tool) from error
    made: dict[str, str] = {}
    try:
        _allocate(ctx, worker, want, saved, made)
        worker.spend()
        _fill(ctx, want, made, tool)
    except ApiError:
        for volume in made.values():
            free_image(ctx.store, volume)
        raise
    part = _merged(ctx, want, saved, made)
    _check_permissions(ctx, part)
    if part.values.get("template") == "1":
        worker.log("Convert to template.")
        bases = as_bases(ctx, {key: part.values[key] for key in made})
        part = Part({**part.values, **bases}, part.raw)
    save(ctx, want.vmid, GuestFile(QEMU, part))


def _check_early(ctx: Context, worker: Worker, want: MachineRestore) -> None:
    """As far as the archive can be read now; checked again at the end."""
    try:
        saved = parse_guest(QEMU, saved_config(want.archive).encode()).current
    except ApiError as error:
        worker.log(f"Could not extract backed up config: {str(error).strip()}")
        worker.log("Skipping early checks!")
        return
    _check_permissions(ctx, Part({**saved.values, **want.given}))


def _check_permissions(ctx: Context, part: Part) -> None:
    """`check_restore_permissions`."""
    for key in sorted(part.values):
        if NET.fullmatch(key):
            check_bridge(ctx, QEMU, part.values[key])
    check_mappings(ctx, part.values)


def _allocate(
    ctx: Context, worker: Worker, want: MachineRestore, saved: Part, made: dict[str, str]
) -> None:
    """New volumes for the disks in the archive; appended to `made` as they are created."""
    kept = {
        disk.key: disk
        for disk in disks(Guest(want.vmid, QEMU, ctx.node, saved.values))
        if disk.options.get("backup") not in ("0", "no")
    }
    checked = {}
    for key, disk in kept.items():
        name = want.storage or disk.volume.partition(":")[0]
        section = enabled_storage(ctx, name)
        if "images" not in section.values["content"]:
            raise died(f"Content type 'images' is not available on storage '{name}'")
        ctx.require(f"/storage/{name}", ["Datastore.AllocateSpace"])
        checked[key] = (name, section)
    if want.existed:
        destroy_volumes(ctx, QEMU, want.vmid)
    for key, (name, section) in checked.items():
        size = kept[key].size or 1
        volume = new_volume(ctx.store, name, section, want.vmid, size, made.values())
        image_folder(ctx.store, volume).mkdir(parents=True)
        made[key] = volume
        worker.log(f"new volume ID is '{volume}'")


def _fill(ctx: Context, want: MachineRestore, made: dict[str, str], tool: str) -> None:
    size = want.archive.size
    for volume in made.values():
        check_space(ctx.store, volume.partition(":")[0], size, f"{tool}: No space left on device")
    try:
        restore_files(ctx.store, want.archive, made)
    except BadArchive as error:
        raise died(f"{tool}: {error}") from error


def _cloud_init(ctx: Context, storage: str, vmid: int, extension: str) -> str:
    """The volume of a cloud-init drive, which PVE generates instead of restoring it."""
    if "path" not in enabled_storage(ctx, storage).values:
        return f"vm-{vmid}-cloudinit"
    return f"{vmid}/vm-{vmid}-cloudinit{extension or '.raw'}"


def _merged(ctx: Context, want: MachineRestore, saved: Part, made: dict[str, str]) -> Part:
    values: dict[str, str] = {}
    for key, text in saved.values.items():
        if _NOT_KEPT.fullmatch(key):
            continue
        if key in made:
            kept = (part for part in text.split(",")[1:] if not part.startswith("format="))
            values[key] = ",".join([made[key], *kept])
        elif (drive := _CLOUD_INIT.fullmatch(text)) is not None and QEMU_DISK.fullmatch(key):
            storage = want.storage or drive[1]
            values[key] = (
                f"{storage}:{_cloud_init(ctx, storage, want.vmid, drive[2])}{drive[3] or ''}"
            )
        elif QEMU_DISK.fullmatch(key) and "backup=0" in text:
            values["description"] = values.get("description", "") + f"{key}: {text}\n"
        elif want.unique and NET.fullmatch(key):
            values[key] = parse_nic(QEMU, text).with_mac(new_mac(ctx.store)).text()
        elif key == "vmgenid" and text != "0":
            values[key] = str(uuid.uuid4())
        elif key == "smbios1" and want.unique:
            rest = [part for part in text.split(",") if not part.startswith("uuid=")]
            values[key] = ",".join([f"uuid={uuid.uuid4()}", *rest])
        elif key == "description":
            values[key] = text + values.get(key, "")
        else:
            values[key] = text
    return Part({**values, **want.given})
