"""/nodes/NODE/{lxc,qemu}/ID/status: start, stop and so on (PVE::API2::LXC::Status, Qemu)."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.access.contents import ROOT
from reconciler.pve.schema import Param
from reconciler.sandbox.checks import perm
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.failure import bad_parameters
from reconciler.sandbox.guest.options import GUEST
from reconciler.sandbox.guest.starting import reboot, reset, shut_down, start_guest, stop_guest
from reconciler.sandbox.guests import LXC, QEMU
from reconciler.sandbox.http.routes import Handler, Routes

routes = Routes()

_FLAG = Param(type="boolean", optional=True)
_SECONDS = Param(type="integer", minimum=0, optional=True)
_POWER = perm("/vms/{vmid}", "VM.PowerMgmt")
_ROOT_ONLY = ("skiplock", "keepActive", "migratedfrom", "stateuri", "force-cpu", "targetstorage")

Action = Callable[[Context, int, Params], str]


def _actions(kind: str) -> dict[str, Action]:
    found: dict[str, Action] = {
        "start": lambda ctx, vmid, _: start_guest(ctx, kind, vmid),
        "stop": lambda ctx, vmid, _: stop_guest(ctx, kind, vmid),
        "shutdown": lambda ctx, vmid, params: shut_down(
            ctx, kind, vmid, params.number("timeout"), force=params.flag("forceStop")
        ),
        "reboot": lambda ctx, vmid, params: reboot(ctx, kind, vmid, params.number("timeout")),
    }
    if kind == QEMU:
        found["reset"] = lambda ctx, vmid, _: reset(ctx, vmid)
    return found


_TABLES: dict[str, dict[str, Param]] = {
    "start": {"skiplock": _FLAG},
    "stop": {"skiplock": _FLAG, "overrule-shutdown": _FLAG},
    "shutdown": {"timeout": _SECONDS, "forceStop": _FLAG},
    "reboot": {"timeout": _SECONDS},
    "reset": {"skiplock": _FLAG},
}
_MORE: dict[tuple[str, str], dict[str, Param]] = {
    (LXC, "start"): {"debug": _FLAG},
    (QEMU, "start"): {
        **dict.fromkeys(("stateuri", "migratedfrom", "force-cpu"), Param(optional=True)),
        **dict.fromkeys(("machine", "targetstorage"), Param(optional=True)),
        "timeout": _SECONDS,
    },
    (QEMU, "stop"): {
        "timeout": _SECONDS,
        "keepActive": _FLAG,
        "migratedfrom": Param(format="pve-node", optional=True),
    },
    (QEMU, "shutdown"): {"skiplock": _FLAG, "keepActive": _FLAG},
}


def _handler(action: Action) -> Handler:
    def run(ctx: Context, params: Params) -> str:
        for name in _ROOT_ONLY:
            if name in params and params.text(name) not in ("", "0") and ctx.actor != ROOT:
                raise bad_parameters({name: "Only root may use this option."})
        return action(ctx, int(params.need("vmid")), params)

    return run


for _kind in (LXC, QEMU):
    for _name, _action in _actions(_kind).items():
        _table = {**GUEST, **_TABLES[_name], **_MORE.get((_kind, _name), {})}
        routes.post(f"/nodes/{{node}}/{_kind}/{{vmid}}/status/{_name}", _POWER, _table)(
            _handler(_action)
        )
