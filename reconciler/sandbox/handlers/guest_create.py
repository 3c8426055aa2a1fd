"""POST /nodes/NODE/lxc and /qemu: restores, and new virtual machines (PVE::API2::LXC, Qemu)."""

from __future__ import annotations

import re
import uuid

from reconciler.access.contents import ROOT
from reconciler.pve.calls.guest_options import LXC_DISK, QEMU_DISK
from reconciler.pve.schema import Param
from reconciler.sandbox.backup.archives import Archive
from reconciler.sandbox.checks import everybody
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.failure import ApiError, bad_parameters, died, forbidden
from reconciler.sandbox.guest.config_file import GuestFile, guest_path, load, parse_guest, save
from reconciler.sandbox.guest.drives import new_drives
from reconciler.sandbox.guest.mounts import ROOTFS, check_mounts, check_rootdir_storage
from reconciler.sandbox.guest.nics import NET, completed
from reconciler.sandbox.guest.options import GUEST, LXC_OPTIONS, QEMU_OPTIONS
from reconciler.sandbox.guest.power import is_running, set_created
from reconciler.sandbox.guest.removal import add_to_pool
from reconciler.sandbox.guest.restore_lxc import ContainerRestore, restore_container
from reconciler.sandbox.guest.restore_qemu import MachineRestore, restore_machine
from reconciler.sandbox.guest.rights import check_change, require_on_guest
from reconciler.sandbox.guest.starting import start_guest
from reconciler.sandbox.guest.volumes import (
    check_access,
    existing_archive,
    split_volume,
    storage_of_id,
)
from reconciler.sandbox.guests import LXC, QEMU, guests
from reconciler.sandbox.http.routes import Routes
from reconciler.sandbox.tasks import Worker, run_task

routes = Routes()

_FLAG = Param(type="boolean", optional=True)
_STORAGE = Param(format="pve-storage-id", optional=True)
_BOTH = {
    **GUEST,
    "force": _FLAG,
    "ha-managed": _FLAG,
    "pool": Param(format="pve-poolid", optional=True),
    "start": _FLAG,
    "storage": _STORAGE,
}
_CONTAINER = {
    **LXC_OPTIONS,
    **_BOTH,
    "bwlimit": Param(type="number", minimum=0, optional=True),
    "ignore-unpack-errors": _FLAG,
    "ostemplate": Param(max_length=255),
    "password": Param(min_length=5, optional=True),
    "restore": _FLAG,
    "ssh-public-keys": Param(optional=True),
    "unique": Param(type="boolean", requires="restore", optional=True),
}
_MACHINE = {
    **QEMU_OPTIONS,
    **_BOTH,
    "archive": Param(max_length=255, optional=True),
    "bwlimit": Param(type="integer", minimum=0, optional=True),
    "force": Param(type="boolean", requires="archive", optional=True),
    "import-working-storage": _STORAGE,
    "live-restore": _FLAG,
    "unique": Param(type="boolean", requires="archive", optional=True),
}
_NO_OPTIONS = frozenset({*_CONTAINER, *_MACHINE} - {*LXC_OPTIONS, *QEMU_OPTIONS})
_APART = _NO_OPTIONS | {"unprivileged"}
"""Parameters that are not options of a container, or are handled separately."""


@routes.post("/nodes/{node}/lxc", everybody, _CONTAINER)
def container(ctx: Context, params: Params) -> str:
    """Only restores succeed: the sandbox has no container templates."""
    vmid, pool = int(params.need("vmid")), params.text("pool")
    restore, force = params.flag("restore"), params.flag("force")
    asked = params.flag("unprivileged") if "unprivileged" in params else None
    unprivileged = asked if restore or asked is not None else True
    over = restore and force and (ctx.store.folder / guest_path(ctx, LXC, vmid)).exists()
    if not restore and not unprivileged:
        ctx.require("/", ["Sys.Modify"])
    if params.flag("ha-managed"):
        ctx.require("/", ["Sys.Console"])
    if over:
        if is_running(ctx.store, vmid):
            raise died("can't overwrite running container")
        load(ctx, LXC, vmid).check_protection(f"unable to restore CT {vmid}")
    else:
        check_unused(ctx, vmid)
    check_pool(ctx, pool)
    if _check_allocate(ctx, vmid, pool, owner=over) and asked is False:
        _require_to_privilege(ctx, vmid)
    options = {key: params.need(key) for key in params if key not in _APART}
    check_change(ctx, LXC, vmid, pool=pool, new=options, unprivileged=bool(unprivileged))
    template, storage = params.need("ostemplate"), params.text("storage") or "local"
    check_access(ctx, vmid, template, "backup" if restore else "vztmpl")
    mounts, given = _split(options, storage)
    check_mounts(ctx, mounts)
    if ROOTFS not in mounts:
        check_rootdir_storage(ctx, storage)
    given = {key: _written(ctx, LXC, key, text) for key, text in given.items()}
    failure = f"unable to {'restore' if restore else 'create'} CT {vmid} -"
    _lock_new(ctx, LXC, vmid, failure, force=force, existed=over)
    want = ContainerRestore(
        vmid=vmid,
        archive=template,
        storage=storage,
        given=given,
        mounts=mounts,
        unprivileged=asked,
        unique=params.flag("unique"),
        pool=pool,
        existed=over,
    )

    def work(worker: Worker) -> None:
        if not restore:
            ctx.store.remove(guest_path(ctx, LXC, vmid))
            raise died(f"{failure} volume '{template}' does not exist")
        restore_container(ctx, worker, want)
        if params.flag("start"):
            start_guest(ctx, LXC, vmid)

    return run_task(ctx, "vzrestore" if restore else "vzcreate", str(vmid), work)


def _split(options: dict[str, str], storage: str) -> tuple[dict[str, str], dict[str, str]]:
    """Mount points, with a bare size as a new volume on `storage`, and everything else."""
    mounts = {
        key: f"{storage}:{text}" if re.fullmatch(r"\d+(?:\.\d+)?", text) else text
        for key, text in options.items()
        if LXC_DISK.fullmatch(key)
    }
    if mounts and ROOTFS not in mounts:
        raise died("mount points configured, but 'rootfs' not set - aborting")
    others = {
        key: text
        for key, text in options.items()
        if key not in mounts and not key.startswith("unused")
    }
    return mounts, others


@routes.post("/nodes/{node}/qemu", everybody, _MACHINE)
def machine(ctx: Context, params: Params) -> str:
    vmid, pool = int(params.need("vmid")), params.text("pool")
    volume, force = params.text("archive"), params.flag("force")
    existed = (ctx.store.folder / guest_path(ctx, QEMU, vmid)).exists()
    _check_machine(ctx, params, vmid, owner=bool(volume) and force and existed)
    options = {key: params.need(key) for key in params if key not in _NO_OPTIONS}
    archive = _checked_archive(ctx, vmid, volume, options) if volume else None
    check_change(ctx, QEMU, vmid, pool=pool, new=options)
    given = {key: _written(ctx, QEMU, key, text) for key, text in options.items()}
    failure = f"unable to {'restore' if volume else 'create'} VM {vmid} -"
    _lock_new(ctx, QEMU, vmid, failure, force=force, existed=existed and force)

    def work(worker: Worker) -> None:
        if archive is None:
            _create_machine(ctx, vmid, given, pool)
        else:
            want = MachineRestore(
                vmid=vmid,
                archive=archive,
                storage=params.text("storage"),
                given=given,
                unique=params.flag("unique"),
                pool=pool,
                existed=existed,
                live=params.flag("live-restore"),
                from_server=_on_server(ctx, volume or ""),
            )
            restore_machine(ctx, worker, want)
        if params.flag("live-restore"):
            start_guest(ctx, QEMU, vmid)
        elif params.flag("start"):
            worker.log("Execute autostart")
            try:
                start_guest(ctx, QEMU, vmid)
            except ApiError as error:
                worker.log(str(error))

    return run_task(ctx, "qmrestore" if volume else "qmcreate", str(vmid), work)


def _on_server(ctx: Context, text: str) -> bool:
    split = split_volume(text)
    return split is not None and storage_of_id(ctx, split[0]).type == "pbs"


def _check_machine(ctx: Context, params: Params, vmid: int, *, owner: bool) -> None:
    """In PVE's order: the pool, the storage, further actions, the right to use the id."""
    pool, storage = params.text("pool"), params.text("storage")
    check_pool(ctx, pool)
    if storage is not None:
        ctx.require(f"/storage/{storage}", ["Datastore.AllocateSpace"])
    if params.flag("ha-managed"):
        ctx.require("/", ["Sys.Console"])
    if params.flag("start"):
        require_on_guest(ctx, vmid, pool, ["VM.PowerMgmt"])
    _check_allocate(ctx, vmid, pool, owner=owner)


def _checked_archive(ctx: Context, vmid: int, volume: str, options: dict[str, str]) -> Archive:
    for key in sorted(options):
        if QEMU_DISK.fullmatch(key):
            raise bad_parameters({key: "option conflicts with option 'archive'"})
    check_access(ctx, vmid, volume, "backup")
    return existing_archive(ctx, volume)


def _create_machine(ctx: Context, vmid: int, given: dict[str, str], pool: str | None) -> None:
    """New disks are empty; a failure leaves nothing behind."""
    try:
        given = new_drives(ctx, vmid, given)
    except ApiError as error:
        ctx.store.remove(guest_path(ctx, QEMU, vmid))
        raise ApiError(f"unable to create VM {vmid} - {error}") from error
    given.setdefault("smbios1", f"uuid={uuid.uuid4()}")
    given.setdefault("vmgenid", str(uuid.uuid4()))
    new_file = GuestFile(QEMU)
    new_file.values.update(given)
    save(ctx, vmid, new_file)
    if pool:
        add_to_pool(ctx, vmid, pool)


def check_unused(ctx: Context, vmid: int) -> None:
    for guest in guests(ctx.store):
        if guest.vmid == vmid:
            kind = "CT" if guest.kind == LXC else "VM"
            raise died(f"{kind} {vmid} already exists on node '{guest.node}'")


def check_pool(ctx: Context, pool: str | None) -> None:
    if pool is not None and pool not in ctx.cfg.pools:
        raise forbidden(f"pool '{pool}' does not exist")


def _check_allocate(ctx: Context, vmid: int, pool: str | None, *, owner: bool) -> bool:
    """VM.Allocate on the id or on the pool; to overwrite an existing guest VM.Backup is enough.
    Returns whether it was enough."""
    if ctx.actor == ROOT or ctx.may(f"/vms/{vmid}", ["VM.Allocate"]):
        return False
    if pool and ctx.may(f"/pool/{pool}", ["VM.Allocate"]):
        return False
    if owner and ctx.may(f"/vms/{vmid}", ["VM.Backup"]):
        return True
    raise forbidden()


def _require_to_privilege(ctx: Context, vmid: int) -> None:
    """Required to make an unprivileged container privileged."""
    if load(ctx, LXC, vmid).values.get("unprivileged") == "1":
        ctx.require("/", ["Sys.Modify"])


def _written(ctx: Context, kind: str, key: str, text: str) -> str:
    return completed(ctx.store, kind, text) if NET.fullmatch(key) else text


def _refuse_other(ctx: Context, kind: str, vmid: int) -> None:
    """With `force` PVE does not check whether the id is taken (`check_vmid_unused`), but its
    cluster file system refuses a second file with the same id."""
    path = guest_path(ctx, kind, vmid)
    if not (ctx.store.folder / path).exists() and any(g.vmid == vmid for g in guests(ctx.store)):
        raise died(f"close (rename) atomic file '/etc/pve/{path}' failed: File exists")


def _lock_new(
    ctx: Context, kind: str, vmid: int, failure: str, *, force: bool, existed: bool
) -> None:
    """Reserve the id: a file with `lock: create`; the first of two calls gets it."""
    path = guest_path(ctx, kind, vmid)
    with ctx.store.lock(path):
        try:
            if force:
                _refuse_other(ctx, kind, vmid)
            else:
                check_unused(ctx, vmid)
            guest = parse_guest(kind, ctx.store.read(path))
            guest.check_lock()
        except ApiError as error:
            raise ApiError(f"{failure} {error}") from error
        guest.values["lock"] = "create"
        if not existed:
            set_created(ctx.store, vmid, ctx.now)
        save(ctx, vmid, guest)
