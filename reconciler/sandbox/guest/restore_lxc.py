"""The task that restores a container (`create_vm` of PVE::API2::LXC, PVE::LXC::Create)."""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.access.contents import ROOT
from reconciler.pve.calls.guest_options import LXC_DISK
from reconciler.sandbox.backup.archives import Archive
from reconciler.sandbox.backup.contents import restore_files, saved_config
from reconciler.sandbox.backup.packing import BadArchive
from reconciler.sandbox.context import Context
from reconciler.sandbox.failure import ApiError, died
from reconciler.sandbox.guest.config_file import (
    GuestFile,
    Part,
    guest_path,
    load,
    parse_guest,
    save,
)
from reconciler.sandbox.guest.images import as_bases, free_image
from reconciler.sandbox.guest.mounts import ROOTFS, allocate, parse_mount, recovered
from reconciler.sandbox.guest.nics import NET, check_bridge, new_mac, parse_nic
from reconciler.sandbox.guest.power import is_running
from reconciler.sandbox.guest.removal import add_to_pool, destroy_volumes
from reconciler.sandbox.guest.volumes import existing_archive, split_volume
from reconciler.sandbox.guests import LXC
from reconciler.sandbox.storage.space import check_space
from reconciler.sandbox.tasks import Worker

_NOT_KEPT = (ROOTFS, "unprivileged", "parent", "template", "lock")


@dataclass(slots=True)
class ContainerRestore:
    """A checked request. `given`: options without disks; `mounts`: mount points, possibly none.
    `existed`: the id is taken and its guest is overwritten.
    """

    vmid: int
    archive: str
    storage: str
    given: dict[str, str]
    mounts: dict[str, str]
    unprivileged: bool | None
    unique: bool
    pool: str | None
    existed: bool
    keeps_errors: bool = False
    late: dict[str, str] = field(default_factory=dict)


def restore_container(ctx: Context, worker: Worker, want: ContainerRestore) -> None:
    """On failure it cleans up and raises: a new container is removed, an existing one is kept
    unless it was already being overwritten."""
    old = load(ctx, LXC, want.vmid)
    made: list[str] = []
    started = not want.existed
    try:
        if want.existed and is_running(ctx.store, want.vmid):
            raise died("can't overwrite running container")
        archive = existing_archive(ctx, want.archive)
        worker.log(f"recovering backed-up configuration from '{want.archive}'")
        saved = parse_guest(LXC, saved_config(archive).encode()).current
        _check_saved(ctx, want, saved, old)
        mounts = want.mounts
        if not mounts:
            kept = {key: text for key, text in saved.values.items() if LXC_DISK.fullmatch(key)}
            mounts, want.late = recovered(ctx, kept, want.storage)
        started = True
        values, made = allocate(ctx, want.vmid, mounts)
        if want.existed:
            destroy_volumes(ctx, LXC, want.vmid)
        worker.log(f"restoring '{want.archive}' now..")
        worker.spend()
        _extract(ctx, worker, archive, values)
        worker.log("merging backed-up and given configuration..")
        part = _merged(ctx, worker, want, saved, values)
        save(ctx, want.vmid, GuestFile(LXC, part))
    except ApiError as error:
        for volume in made:
            free_image(ctx.store, volume)
        if started:
            ctx.store.remove(guest_path(ctx, LXC, want.vmid))
        else:
            _unlock(ctx, want.vmid)
        raise ApiError(f"unable to restore CT {want.vmid} - {error}") from error
    if want.pool:
        add_to_pool(ctx, want.vmid, want.pool)


def _check_saved(ctx: Context, want: ContainerRestore, saved: Part, old: GuestFile) -> None:
    """Checks that need the archive: bridges, and who may restore a privileged container."""
    for key, text in saved.values.items():
        if NET.fullmatch(key) and key not in want.given:
            check_bridge(ctx, LXC, text)
    unprivileged = _unprivileged(want, saved)
    if not unprivileged and (not want.existed or old.values.get("unprivileged") == "1"):
        ctx.require("/", ["Sys.Modify"])


def _unprivileged(want: ContainerRestore, saved: Part) -> bool:
    if want.unprivileged is not None:
        return want.unprivileged
    return saved.values.get("unprivileged") == "1"


def _extract(ctx: Context, worker: Worker, archive: Archive, values: dict[str, str]) -> None:
    root = parse_mount(ROOTFS, values[ROOTFS]).volume
    split = split_volume(root)
    tool = f"command 'tar xpf - --totals -C /var/lib/lxc/rootfs {archive.path.name}' failed"
    worker.log(f"extracting archive '{archive.path.name}'")
    if split is None:
        return
    size = archive.size
    check_space(ctx.store, split[0], size, f"{tool}: No space left on device")
    try:
        restore_files(ctx.store, archive, {ROOTFS: root})
    except BadArchive as error:
        raise died(f"{tool}: {error}") from error


def _merged(
    ctx: Context, worker: Worker, want: ContainerRestore, saved: Part, disks: dict[str, str]
) -> Part:
    values = {**want.given, **disks}
    unprivileged = _unprivileged(want, saved)
    if unprivileged:
        values["unprivileged"] = "1"
    for key, text in saved.values.items():
        if key in _NOT_KEPT or LXC_DISK.fullmatch(key) or key.startswith("unused"):
            continue
        dropped = key == "features" and not unprivileged and saved.values.get("unprivileged") == "1"
        if dropped and ctx.actor != ROOT:
            worker.log("changing from unprivileged to privileged, skipping features")
        elif want.unique and NET.fullmatch(key):
            values[key] = parse_nic(LXC, text).with_mac(new_mac(ctx.store)).text()
        else:
            values.setdefault(key, text)
    values.setdefault("hostname", f"CT{want.vmid}")
    values.setdefault("memory", "512")
    values.setdefault("swap", "512")
    values |= want.late
    if saved.values.get("template") == "1":
        worker.log("Convert restored container to template...")
        values["template"] = "1"
        values |= as_bases(ctx, disks)
    if saved.raw and ctx.actor != ROOT:
        listed = "; ".join(saved.raw)
        worker.warn(f"skipping custom lxc options, restore manually as root: {listed}")
    return Part(values, saved.raw if ctx.actor == ROOT else [])


def _unlock(ctx: Context, vmid: int) -> None:
    guest = load(ctx, LXC, vmid)
    guest.values.pop("lock", None)
    save(ctx, vmid, guest)
