"""Removing a guest: its disks, its ACL entries, its membership in a pool and in backup jobs."""

from __future__ import annotations

from reconciler.pve.formats import split_list
from reconciler.sandbox.config.jobcfg import BACKUP, read_jobs, write_jobs
from reconciler.sandbox.config.store import editing_users, locked
from reconciler.sandbox.context import Context
from reconciler.sandbox.guest.config_file import guest_path
from reconciler.sandbox.guest.images import free_image, owned
from reconciler.sandbox.guest.power import forget
from reconciler.sandbox.guests import Guest, guests
from reconciler.sandbox.tasks import Worker


def destroy_volumes(ctx: Context, kind: str, vmid: int) -> None:
    """The disks that belong to the guest."""
    for guest in guests(ctx.store):
        if (guest.kind, guest.vmid) == (kind, vmid):
            for disk in owned(guest):
                free_image(ctx.store, disk.volume)


def destroy_unreferenced(ctx: Context, vmid: int) -> None:
    """Disks with the number of the guest that no configuration names."""
    storages = ctx.store.run_folder / "storage"
    for pattern in (f"*/images/{vmid}/*", f"*/images/*-{vmid}-disk-*"):
        for path in storages.glob(pattern):
            storage = path.relative_to(storages).parts[0]
            name = path.relative_to(storages / storage / "images")
            free_image(ctx.store, f"{storage}:{name}")


def destroy(ctx: Context, worker: Worker, guest: Guest, *, purge: bool, unreferenced: bool) -> None:
    """Remove everything of a stopped guest; its file comes last, so that the id stays taken."""
    kind = "CT" if guest.kind == "lxc" else "VM"
    destroy_volumes(ctx, guest.kind, guest.vmid)
    if unreferenced:
        destroy_unreferenced(ctx, guest.vmid)
    worker.spend()
    _remove_access(ctx, guest.vmid)
    ctx.store.remove(f"firewall/{guest.vmid}.fw")
    if purge:
        worker.log(f"purging {kind} {guest.vmid} from related configurations..")
        _leave_jobs(ctx, guest.vmid)
    forget(ctx.store, guest.vmid)
    ctx.store.remove(guest_path(ctx, guest.kind, guest.vmid))


def _remove_access(ctx: Context, vmid: int) -> None:
    """Remove the ACL entries of the guest and its pool membership; user.cfg is not written if there
    are none."""
    place = f"/vms/{vmid}"
    if place not in ctx.cfg.acl and ctx.cfg.pool_of(vmid) is None:
        return
    with editing_users(ctx.store, f"access permissions cleanup for VM {vmid} failed") as cfg:
        cfg.acl.pop(place, None)
        for pool in cfg.pools.values():
            pool.vms.discard(vmid)


def _leave_jobs(ctx: Context, vmid: int) -> None:
    """A job without another guest is deleted (`remove_vmid_from_job` of PVE::VZDump::Plugin)."""
    with locked(ctx.store, "jobs.cfg"):
        raw = ctx.store.read("jobs.cfg")
        if not raw:
            return
        sections = read_jobs(raw)
        for name, section in list(sections.by_id.items()):
            if section.type != BACKUP:
                continue
            key = "vmid" if section.values.get("vmid") is not None else "exclude"
            listed = section.values.get(key)
            if listed is None:
                continue
            left = [guest for guest in split_list(str(listed)) if guest != str(vmid)]
            if left:
                section.values[key] = ",".join(left)
            elif key == "vmid":
                del sections.by_id[name]
            else:
                del section.values[key]
        write_jobs(ctx.store, sections)


def add_to_pool(ctx: Context, vmid: int, pool: str) -> None:
    """A pool that no longer exists is skipped, as in PVE."""
    with editing_users(ctx.store, "can't add VM to pool") as cfg:
        if pool in cfg.pools:
            cfg.pools[pool].vms.add(vmid)
