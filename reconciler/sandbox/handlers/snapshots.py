"""/nodes/NODE/{lxc,qemu}/ID/snapshot (PVE::API2::LXC::Snapshot, PVE::API2::Qemu)."""

from __future__ import annotations

from typing import Any

from reconciler.pve.schema import Param
from reconciler.sandbox.checks import Check, everybody, perm
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.failure import died
from reconciler.sandbox.guest.config_file import editing_guest, load
from reconciler.sandbox.guest.options import GUEST, answered
from reconciler.sandbox.guest.power import is_running
from reconciler.sandbox.guest.snapshots import delete, roll_back, take
from reconciler.sandbox.guest.starting import start_guest
from reconciler.sandbox.guests import LXC, QEMU
from reconciler.sandbox.http.routes import Handler, Routes
from reconciler.sandbox.tasks import Worker, run_task

routes = Routes()

_FLAG = Param(type="boolean", optional=True)
_TEXT = Param(optional=True)
_ONE = {**GUEST, "snapname": Param(format="pve-configid", max_length=40)}
_RESERVED = {LXC: ("current", "vzdump"), QEMU: ("current", "pending")}


def _list(kind: str) -> Handler:
    def index(ctx: Context, params: Params) -> list[dict[str, Any]]:
        """The snapshots, and the current state of the guest as `current`."""
        vmid = params.need("vmid")
        guest = load(ctx, kind, vmid)
        rows = []
        for name, part in guest.snapshots.items():
            row: dict[str, Any] = {
                "name": name,
                "snaptime": int(part.values.get("snaptime", 0)),
                "description": part.values.get("description", ""),
            }
            if kind == QEMU:
                row["vmstate"] = int("vmstate" in part.values)
            row |= {key: part.values[key] for key in ("parent", "snapstate") if key in part.values}
            rows.append(row)
        current: dict[str, Any] = {
            "name": "current",
            "digest": guest.digest,
            "running": int(is_running(ctx.store, vmid)),
            "description": "You are here!",
        }
        if "parent" in guest.values:
            current["parent"] = guest.values["parent"]
        return [*rows, current]

    return index


def _take(kind: str) -> Handler:
    def create(ctx: Context, params: Params) -> str:
        vmid, name = int(params.need("vmid")), params.need("snapname")
        for word in _RESERVED[kind]:
            if (name.lower() if word == "pending" else name) == word:
                raise died(f"unable to use snapshot name '{word}' (reserved name)")
        if kind == QEMU:
            load(ctx, kind, vmid)

        def work(worker: Worker) -> None:
            take(ctx, worker, kind, vmid, name, params.text("description") or "")

        return run_task(ctx, "vzsnapshot" if kind == LXC else "qmsnapshot", str(vmid), work)

    return create


def _delete(kind: str) -> Handler:
    def remove(ctx: Context, params: Params) -> str:
        vmid, name = int(params.need("vmid")), params.need("snapname")

        def work(worker: Worker) -> None:
            delete(ctx, worker, kind, vmid, name)

        return run_task(ctx, "vzdelsnapshot" if kind == LXC else "qmdelsnapshot", str(vmid), work)

    return remove


def _roll_back(kind: str) -> Handler:
    def back(ctx: Context, params: Params) -> str:
        vmid, name = int(params.need("vmid")), params.need("snapname")
        if kind == QEMU and params.flag("start"):
            ctx.require(f"/vms/{vmid}", ["VM.PowerMgmt"])

        def work(worker: Worker) -> None:
            roll_back(ctx, worker, kind, vmid, name)
            if params.flag("start") and not is_running(ctx.store, vmid):
                start_guest(ctx, kind, vmid)

        return run_task(ctx, "vzrollback" if kind == LXC else "qmrollback", str(vmid), work)

    return back


def _index(_ctx: Context, _params: Params) -> list[dict[str, str]]:
    return [{"cmd": "rollback"}, {"cmd": "config"}]


def _config(kind: str) -> Handler:
    def read(ctx: Context, params: Params) -> dict[str, Any]:
        name = params.need("snapname")
        guest = load(ctx, kind, params.need("vmid"))
        if name not in guest.snapshots:
            raise died(f"snapshot '{name}' does not exist")
        return answered(kind, guest.snapshots[name].values)

    return read


def _describe(kind: str) -> Handler:
    def change(ctx: Context, params: Params) -> None:
        name, text = params.need("snapname"), params.text("description")
        if text is None:
            return
        with editing_guest(ctx, kind, params.need("vmid")) as guest:
            guest.check_lock()
            if name not in guest.snapshots:
                raise died(f"snapshot '{name}' does not exist")
            guest.snapshots[name].values["description"] = text

    return change


def _perm(*names: str) -> Check:
    return perm("/vms/{vmid}", *names, some=True)


for _kind in (LXC, QEMU):
    _path = f"/nodes/{{node}}/{_kind}/{{vmid}}/snapshot"
    _state = {"vmstate": _FLAG} if _kind == QEMU else {}
    _taken = perm("/vms/{vmid}", "VM.Snapshot")
    routes.get(_path, perm("/vms/{vmid}", "VM.Audit"), GUEST)(_list(_kind))
    routes.post(_path, _taken, {**_ONE, **_state, "description": _TEXT})(_take(_kind))
    _path = f"{_path}/{{snapname}}"
    routes.get(_path, everybody, _ONE)(_index)
    routes.delete(_path, _taken, {**_ONE, "force": _FLAG})(_delete(_kind))
    _rollback = _perm("VM.Snapshot", "VM.Snapshot.Rollback")
    routes.post(f"{_path}/rollback", _rollback, {**_ONE, "start": _FLAG})(_roll_back(_kind))
    _reads = _perm("VM.Snapshot", "VM.Snapshot.Rollback", "VM.Audit")
    routes.get(f"{_path}/config", _reads, _ONE)(_config(_kind))
    routes.put(f"{_path}/config", _taken, {**_ONE, "description": _TEXT})(_describe(_kind))
