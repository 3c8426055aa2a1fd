"""/nodes/NODE/{lxc,qemu}/ID/config (PVE::API2::LXC::Config, PVE::API2::Qemu)."""

from __future__ import annotations

import re
from typing import Any

from reconciler.access.contents import ROOT
from reconciler.pve.calls.guest_options import LXC_DISK
from reconciler.pve.schema import Param
from reconciler.sandbox.checks import perm
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.failure import bad_parameters, died
from reconciler.sandbox.guest.config_file import GuestFile, Part, editing_guest, load
from reconciler.sandbox.guest.drives import new_drives
from reconciler.sandbox.guest.images import free_image
from reconciler.sandbox.guest.mounts import allocate
from reconciler.sandbox.guest.nics import NET, completed
from reconciler.sandbox.guest.options import GUEST, LXC_OPTIONS, QEMU_OPTIONS, answered, options_of
from reconciler.sandbox.guest.rights import check_change
from reconciler.sandbox.guests import LXC, QEMU, Guest
from reconciler.sandbox.http.routes import Handler, Routes
from reconciler.sandbox.storage.disks import disks
from reconciler.sandbox.tasks import Worker, run_task, upid_or_none

routes = Routes()

_FLAG = Param(type="boolean", optional=True)
_READ = {
    **GUEST,
    "current": _FLAG,
    "snapshot": Param(format="pve-configid", max_length=40, optional=True),
}
_LIST = Param(format="pve-configid-list", optional=True)
_CHANGE = {
    **GUEST,
    "delete": _LIST,
    "revert": _LIST,
    "digest": Param(max_length=40, optional=True),
}
_QEMU_CHANGE = {
    **QEMU_OPTIONS,
    **_CHANGE,
    "skiplock": _FLAG,
    "force": Param(type="boolean", requires="delete", optional=True),
}
_QEMU_POST = {
    **_QEMU_CHANGE,
    "background_delay": Param(type="integer", minimum=1, maximum=30, optional=True),
    "import-working-storage": Param(format="pve-storage-id", optional=True),
}
_LXC_PRIVILEGES = (
    *("VM.Config.Disk", "VM.Config.CPU", "VM.Config.Memory", "VM.Config.Network"),
    "VM.Config.Options",
)
_QEMU_PRIVILEGES = (
    *("VM.Config.Disk", "VM.Config.CDROM", "VM.Config.CPU", "VM.Config.Memory"),
    *("VM.Config.Network", "VM.Config.HWType", "VM.Config.Options", "VM.Config.Cloudinit"),
)
_NO_OPTIONS = frozenset({*_CHANGE, *_QEMU_POST} - {*LXC_OPTIONS, *QEMU_OPTIONS})
_REQUIRED = ("memory", "rootfs", "ostype")


def _read(kind: str) -> Handler:
    def read(ctx: Context, params: Params) -> dict[str, Any]:
        name = params.text("snapshot")
        if name and params.flag("current"):
            text = "cannot use 'snapshot' parameter with 'current'"
            raise bad_parameters({"snapshot": text, "current": text})
        guest = load(ctx, kind, params.need("vmid"))
        part = _snapshot(guest, name) if name else guest.current
        row = answered(kind, part.values) | {"digest": guest.digest}
        if part.raw:
            row["lxc"] = [re.split(r"\s*[:=]\s*", line, maxsplit=1) for line in part.raw]
        if row.get("cipassword"):
            row["cipassword"] = "*" * 10
        return row

    return read


def _pending(kind: str) -> Handler:
    def read(ctx: Context, params: Params) -> list[dict[str, Any]]:
        """Every option with its value: no change is pending."""
        guest = load(ctx, kind, params.need("vmid"))
        values = answered(kind, guest.values) | {"digest": guest.digest}
        return [{"key": key, "value": value} for key, value in values.items()]

    return read


def _snapshot(guest: GuestFile, name: str) -> Part:
    if name not in guest.snapshots:
        raise died(f"snapshot '{name}' does not exist")
    return guest.snapshots[name]


def _change(ctx: Context, kind: str, params: Params) -> None:
    """Everything takes effect at once, even what PVE would apply at the next start."""
    vmid = params.need("vmid")
    options = {key: params.need(key) for key in params if key not in _NO_OPTIONS}
    deleted, reverted = params.names("delete"), params.names("revert")
    if not options and not deleted and not reverted:
        raise died("no options specified")
    if params.flag("skiplock") and ctx.actor != ROOT:
        raise bad_parameters({"skiplock": "Only root may use this option."})
    with editing_guest(ctx, kind, vmid) as guest:
        if not params.flag("skiplock"):
            guest.check_lock()
        digest = params.text("digest")
        if digest and digest != guest.digest:
            raise died("detected modified configuration - file changed by other user? Try again.")
        _check(ctx, guest, vmid, options, [*deleted, *reverted])
        _check_names(kind, options, deleted, reverted)
        for key in deleted:
            _drop(ctx, guest, vmid, key)
        for key, text in _written(ctx, guest, vmid, options).items():
            guest.values[key] = text
            if key == "description" and not text:
                del guest.values[key]


def _check(
    ctx: Context, guest: GuestFile, vmid: str, options: dict[str, str], deleted: list[str]
) -> None:
    unprivileged = guest.values.get("unprivileged") == "1"
    for new, gone in (({}, deleted), (options, [])):
        check_change(
            ctx,
            guest.kind,
            vmid,
            old=guest.values,
            new=new,
            deleted=gone,
            unprivileged=unprivileged,
        )


def _check_names(
    kind: str, options: dict[str, str], deleted: list[str], reverted: list[str]
) -> None:
    for parameter, names in (("revert", reverted), ("delete", deleted)):
        for key in names:
            if key not in options_of(kind):
                raise bad_parameters({parameter: f"unknown option '{key}'"})
            if key in options:
                text = f"you can't use '-{key}' and '-{parameter} {key}' at the same time"
                if parameter == "delete":
                    text = f"you can't use '-{key}' and -delete {key}' at the same time"
                raise bad_parameters({parameter: text})
    if kind == LXC and "unprivileged" in options:
        raise died("unable to modify read-only option: 'unprivileged'")


def _drop(ctx: Context, guest: GuestFile, vmid: str, key: str) -> None:
    """A removed disk becomes an unused one; a removed unused disk is deleted."""
    if guest.kind == LXC and key in _REQUIRED:
        raise died(f"unable to delete required option '{key}'")
    if key == "unprivileged":
        raise died(f"unable to delete read-only option: '{key}'")
    value = guest.values.get(key)
    if value is None:
        return
    if key.startswith("unused"):
        guest.check_protection(f"can't remove {guest.kind} {vmid} drive '{key}'")
        free_image(ctx.store, value)
    taken = {
        disk.key: disk.volume for disk in disks(Guest(int(vmid), guest.kind, "", guest.values))
    }
    if key in taken and not taken[key].startswith("/"):
        guest.check_protection(f"can't remove {guest.kind} {vmid} drive '{key}'")
        number = next(n for n in range(256) if f"unused{n}" not in guest.values)
        guest.values[f"unused{number}"] = taken[key]
    del guest.values[key]


def _written(ctx: Context, guest: GuestFile, vmid: str, options: dict[str, str]) -> dict[str, str]:
    """In the form of the file: interfaces with a MAC address, new disks created."""
    found = dict(options)
    for key, text in options.items():
        if NET.fullmatch(key):
            found[key] = completed(ctx.store, guest.kind, text)
    if guest.kind == QEMU:
        return new_drives(ctx, int(vmid), found)
    mounts = {key: text for key, text in options.items() if LXC_DISK.fullmatch(key)}
    for key in mounts:
        guest.check_protection(f"can't update CT {vmid} drive '{key}'")
    return found | allocate(ctx, int(vmid), mounts)[0]


def _put(kind: str) -> Handler:
    def change(ctx: Context, params: Params) -> None:
        _change(ctx, kind, params)

    return change


def _post(ctx: Context, params: Params) -> str | None:
    """In a task; with `background_delay` the call waits for it."""

    def work(_worker: Worker) -> None:
        _change(ctx, QEMU, params)

    load(ctx, QEMU, params.need("vmid"))
    upid = run_task(ctx, "qmconfig", params.need("vmid"), work)
    return upid_or_none(ctx.store, upid, params.number("background_delay") or 0)


for _kind, _privileges, _table in (
    (LXC, _LXC_PRIVILEGES, {**LXC_OPTIONS, **_CHANGE}),
    (QEMU, _QEMU_PRIVILEGES, _QEMU_CHANGE),
):
    _path = f"/nodes/{{node}}/{_kind}/{{vmid}}/config"
    _may = perm("/vms/{vmid}", *_privileges, some=True)
    routes.get(_path, perm("/vms/{vmid}", "VM.Audit"), _READ)(_read(_kind))
    _pending_path = f"/nodes/{{node}}/{_kind}/{{vmid}}/pending"
    routes.get(_pending_path, perm("/vms/{vmid}", "VM.Audit"), GUEST)(_pending(_kind))
    routes.put(_path, _may, _table)(_put(_kind))
    if _kind == QEMU:
        routes.post(_path, _may, _QEMU_POST)(_post)
