"""DELETE of guests, and the next free id (PVE::API2::LXC, Qemu, Cluster)."""

from __future__ import annotations

from dataclasses import replace

from reconciler.access.contents import ROOT
from reconciler.pve.schema import Param
from reconciler.sandbox.checks import everybody, perm
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.failure import bad_parameters, died
from reconciler.sandbox.guest.config_file import load
from reconciler.sandbox.guest.options import GUEST, VMID
from reconciler.sandbox.guest.power import is_running, set_stopped
from reconciler.sandbox.guest.removal import destroy
from reconciler.sandbox.guests import LXC, QEMU, Guest, guests
from reconciler.sandbox.http.routes import Handler, Routes
from reconciler.sandbox.tasks import Worker, run_task

routes = Routes()

_FLAG = Param(type="boolean", optional=True)
_BOTH = {
    **GUEST,
    "purge": _FLAG,
    "destroy-unreferenced-disks": _FLAG,
}
_LOWEST, _HIGHEST = 100, 999_999


def _destroy(kind: str) -> Handler:
    noun = "CT" if kind == LXC else "VM"

    def check(ctx: Context, vmid: int, *, force: bool) -> Guest:
        file = load(ctx, kind, vmid)
        file.check_protection(f"can't remove {noun} {vmid}")
        if kind == LXC:
            file.check_lock()
        if is_running(ctx.store, vmid) and not force:
            raise died(
                f"unable to destroy CT {vmid} - container is running"
                if kind == LXC
                else f"VM {vmid} is running - destroy failed"
            )
        return Guest(vmid, kind, ctx.node, file.values)

    def delete(ctx: Context, params: Params) -> str:
        vmid, force = int(params.need("vmid")), params.flag("force")
        if params.flag("skiplock") and ctx.actor != ROOT:
            raise bad_parameters({"skiplock": "Only root may use this option."})
        check(ctx, vmid, force=force)

        def work(worker: Worker) -> None:
            guest = check(ctx, vmid, force=force)
            if kind == QEMU and not params.flag("skiplock"):
                load(ctx, kind, vmid).check_lock()
            if is_running(ctx.store, vmid):
                worker.log(f"forced to stop CT {vmid} before destroying!")
                set_stopped(ctx.store, vmid)
            purge, unreferenced = params.flag("purge"), params.flag("destroy-unreferenced-disks")
            destroy(ctx, worker, guest, purge=purge, unreferenced=unreferenced)

        return run_task(ctx, "vzdestroy" if kind == LXC else "qmdestroy", str(vmid), work)

    return delete


_ALLOCATE = perm("/vms/{vmid}", "VM.Allocate")
routes.delete("/nodes/{node}/lxc/{vmid}", _ALLOCATE, {**_BOTH, "force": _FLAG})(_destroy(LXC))
routes.delete("/nodes/{node}/qemu/{vmid}", _ALLOCATE, {**_BOTH, "skiplock": _FLAG})(_destroy(QEMU))


@routes.get(
    "/cluster/nextid",
    everybody,
    {"vmid": replace(VMID, optional=True)},
)
def next_id(ctx: Context, params: Params) -> str:
    """The lowest free id, or the one asked for when it is free."""
    taken = {guest.vmid for guest in guests(ctx.store)}
    wanted = params.number("vmid")
    if wanted is not None:
        if wanted in taken:
            raise bad_parameters({"vmid": f"VM {wanted} already exists"})
        return str(wanted)
    found = next((vmid for vmid in range(_LOWEST, _HIGHEST + 1) if vmid not in taken), None)
    if found is None:
        raise died(f"unable to get any free VMID in range [{_LOWEST}, {_HIGHEST}]")
    return str(found)
