"""Starting and stopping guests, each in a task (`vm_start`, `vm_stop` of PVE's guest modules)."""

from __future__ import annotations

from reconciler.sandbox.context import Context
from reconciler.sandbox.failure import died
from reconciler.sandbox.guest.behaviour import behaviour
from reconciler.sandbox.guest.config_file import load
from reconciler.sandbox.guest.power import is_running, set_running, set_stopped
from reconciler.sandbox.guest.volumes import active_storage, split_volume
from reconciler.sandbox.guests import LXC, QEMU, Guest
from reconciler.sandbox.storage.disks import disks
from reconciler.sandbox.tasks import Worker, run_task

_SHUTDOWN_TIMEOUT = 60


def noun(kind: str) -> str:
    return "CT" if kind == LXC else "VM"


def start_guest(ctx: Context, kind: str, vmid: int) -> str:
    if kind == LXC and is_running(ctx.store, vmid):
        raise died(f"CT {vmid} already running")

    def work(worker: Worker) -> None:
        _start(ctx, worker, kind, vmid)

    return run_task(ctx, "vzstart" if kind == LXC else "qmstart", str(vmid), work)


def _start(ctx: Context, worker: Worker, kind: str, vmid: int) -> None:
    file = load(ctx, kind, vmid)
    if file.values.get("template") == "1":
        raise died(f"you can't start a {'CT' if kind == LXC else 'vm'} if it's a template")
    file.check_lock()
    if is_running(ctx.store, vmid):
        raise died(f"{noun(kind)} {vmid} already running")
    guest = Guest(vmid, kind, ctx.node, file.values)
    for disk in disks(guest):
        split = split_volume(disk.volume)
        if split is not None:
            active_storage(ctx, split[0])
    worker.spend()
    fails = behaviour(ctx.store, guest).start_fails
    if fails:
        raise died(f"start failed: {fails}" if kind == QEMU else fails)
    set_running(ctx.store, vmid, ctx.now)


def stop_guest(ctx: Context, kind: str, vmid: int) -> str:
    """Stop the guest immediately."""
    if kind == LXC and not is_running(ctx.store, vmid):
        raise died(f"CT {vmid} not running")

    def work(worker: Worker) -> None:
        load(ctx, kind, vmid).check_lock()
        worker.spend()
        set_stopped(ctx.store, vmid)

    return run_task(ctx, "vzstop" if kind == LXC else "qmstop", str(vmid), work)


def shut_down(ctx: Context, kind: str, vmid: int, timeout: int | None, *, force: bool) -> str:
    """Ask the guest to shut down; `force`: stop it if it does not within `timeout` seconds."""
    if kind == LXC and not is_running(ctx.store, vmid):
        raise died(f"CT {vmid} not running")

    def work(worker: Worker) -> None:
        go_down(ctx, worker, kind, vmid, timeout, force=force)

    return run_task(ctx, "vzshutdown" if kind == LXC else "qmshutdown", str(vmid), work)


def go_down(
    ctx: Context, worker: Worker, kind: str, vmid: int, timeout: int | None, *, force: bool
) -> None:
    file = load(ctx, kind, vmid)
    file.check_lock()
    if not is_running(ctx.store, vmid):
        return
    willing = behaviour(ctx.store, Guest(vmid, kind, ctx.node, file.values)).shutdown
    if willing:
        worker.spend()
    elif ctx.store.task_time:
        worker.spend(_SHUTDOWN_TIMEOUT if timeout is None else timeout)
    if not willing and not force:
        raise died(
            "container did not stop" if kind == LXC else "VM quit/powerdown failed - got timeout"
        )
    set_stopped(ctx.store, vmid)


def reboot(ctx: Context, kind: str, vmid: int, timeout: int | None) -> str:
    if not is_running(ctx.store, vmid):
        raise died(f"{noun(kind)} {vmid} not running" + ("!" if kind == LXC else ""))

    def work(worker: Worker) -> None:
        go_down(ctx, worker, kind, vmid, timeout, force=False)
        _start(ctx, worker, kind, vmid)

    return run_task(ctx, "vzreboot" if kind == LXC else "qmreboot", str(vmid), work)


def reset(ctx: Context, vmid: int) -> str:
    if not is_running(ctx.store, vmid):
        raise died(f"VM {vmid} not running")

    def work(worker: Worker) -> None:
        load(ctx, QEMU, vmid).check_lock()
        worker.spend()
        set_running(ctx.store, vmid, ctx.now)

    return run_task(ctx, "qmreset", str(vmid), work)
