"""The privileges required to set an option of a guest.

PVE source: `check_ct_modify_config_perm` of PVE::LXC, `$check_vm_modify_config_perm` and
`$check_storage_access` of PVE::API2::Qemu.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from reconciler.access.contents import ROOT
from reconciler.pve.calls.guest_options import (
    CLOUD_INIT,
    LXC_DISK,
    LXC_PRIVILEGES,
    NEW_DISK,
    QEMU_DISK,
    QEMU_PRIVILEGES,
)
from reconciler.pve.parameter_check import parse_properties
from reconciler.sandbox.context import Context
from reconciler.sandbox.failure import died, forbidden
from reconciler.sandbox.guest.nics import NET, check_bridge
from reconciler.sandbox.guest.volumes import check_access
from reconciler.sandbox.guests import LXC


def require_on_guest(
    ctx: Context, vmid: str | int, pool: str | None, names: list[str], *, some: bool = False
) -> None:
    """The privileges on the guest, or on the pool it will be in (`check_vm_perm`)."""
    if not (pool and ctx.may(f"/pool/{pool}", names, some=some)):
        ctx.require(f"/vms/{vmid}", names, some=some)


def check_change(  # noqa: PLR0913 - as PVE's own
    ctx: Context,
    kind: str,
    vmid: str | int,
    *,
    pool: str | None = None,
    old: Mapping[str, str] | None = None,
    new: Mapping[str, str] | None = None,
    deleted: Iterable[str] = (),
    unprivileged: bool = False,
) -> None:
    """Raises for the first option that the caller may not set or delete; root@pam may set all."""
    if ctx.actor == ROOT:
        return
    new = new or {}
    for key, value in [*new.items(), *((key, None) for key in deleted)]:
        if kind == LXC:
            _check_container(ctx, vmid, pool, old or {}, key, value, unprivileged=unprivileged)
        else:
            _check_machine(ctx, vmid, pool, key, value)
        if NET.fullmatch(key):
            for text in (old or {}).get(key) if old else None, value:
                if text:
                    check_bridge(ctx, kind, text)


def _check_container(
    ctx: Context,
    vmid: str | int,
    pool: str | None,
    old: Mapping[str, str],
    key: str,
    value: str | None,
    *,
    unprivileged: bool,
) -> None:
    for privilege, keys in LXC_PRIVILEGES.items():
        if key in keys:
            require_on_guest(ctx, vmid, pool, [privilege])
            return
    if LXC_DISK.fullmatch(key):
        require_on_guest(ctx, vmid, pool, ["VM.Config.Disk"])
        if value is not None:
            _check_mount(ctx, vmid, value)
    elif NET.fullmatch(key):
        require_on_guest(ctx, vmid, pool, ["VM.Config.Network"])
    elif re.fullmatch(r"dev\d+", key):
        raise forbidden("configuring device passthrough is only allowed for root@pam")
    elif key == "features":
        _check_features(ctx, vmid, pool, old.get(key, ""), value or "", unprivileged=unprivileged)
    elif key == "hookscript":
        raise forbidden("changing the hookscript is only allowed for root@pam")
    else:
        require_on_guest(ctx, vmid, pool, ["VM.Config.Options"])


def _check_mount(ctx: Context, vmid: str | int, value: str) -> None:
    volume = value.partition(",")[0].removeprefix("volume=")
    if volume.startswith("/"):
        kind = "device" if volume.startswith("/dev/") else "bind"
        raise forbidden(f"mount point type {kind} is only allowed for root@pam")
    new = NEW_DISK.fullmatch(volume)
    if new is not None:
        ctx.require(f"/storage/{new[1]}", ["Datastore.AllocateSpace"])
    else:
        check_access(ctx, int(vmid), volume, "rootdir")


def _check_features(
    ctx: Context, vmid: str | int, pool: str | None, old: str, new: str, *, unprivileged: bool
) -> None:
    if not unprivileged:
        raise forbidden(
            "changing feature flags for privileged container is only allowed for root@pam"
        )
    before, after = (parse_properties("pve-ct-features", text).values for text in (old, new))
    changed = {key for key in {*before, *after} if before.get(key) != after.get(key)}
    if changed - {"nesting"}:
        raise forbidden("changing feature flags (except nesting) is only allowed for root@pam")
    if changed:
        require_on_guest(ctx, vmid, pool, ["VM.Allocate"])


def _check_machine(
    ctx: Context, vmid: str | int, pool: str | None, key: str, value: str | None
) -> None:
    if QEMU_DISK.fullmatch(key) or re.fullmatch(r"unused\d+", key):
        require_on_guest(ctx, vmid, pool, ["VM.Config.Disk"])
        if value is not None:
            _check_drive(ctx, vmid, value)
        return
    for privilege, keys in QEMU_PRIVILEGES.items():
        if key in keys or (privilege == "VM.Config.CPU" and re.fullmatch(r"numa\d+", key)):
            require_on_guest(ctx, vmid, pool, [privilege])
            if key == "startup":
                ctx.require("/", ["Sys.Modify"])
            return
    if NET.fullmatch(key):
        require_on_guest(ctx, vmid, pool, ["VM.Config.Network"])
    elif key in CLOUD_INIT or re.fullmatch(r"ipconfig\d+", key):
        names = ["VM.Config.Cloudinit", "VM.Config.Network"]
        require_on_guest(ctx, vmid, pool, names, some=True)
    elif re.fullmatch(r"(?:serial|usb|hostpci|virtiofs)\d+", key):
        require_on_guest(ctx, vmid, pool, ["VM.Config.HWType"])
    elif key == "cdrom":
        require_on_guest(ctx, vmid, pool, ["VM.Config.CDROM"])
    else:
        raise died(f"only root can set '{key}' config")


def _check_drive(ctx: Context, vmid: str | int, value: str) -> None:
    volume = value.partition(",")[0].removeprefix("file=")
    if volume in ("none", "cdrom"):
        return
    new = NEW_DISK.fullmatch(volume)
    if new is not None:
        ctx.require(f"/storage/{new[1]}", ["Datastore.AllocateSpace"])
    else:
        check_access(ctx, int(vmid), volume, "iso" if "media=cdrom" in value else "images")
