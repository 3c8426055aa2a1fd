"""The QEMU guest agent, and the addresses of containers (PVE::API2::Qemu::Agent, LXC)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reconciler.pve.schema import Param
from reconciler.sandbox.checks import everybody, perm
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.failure import died
from reconciler.sandbox.guest.behaviour import Result, behaviour, execute, interfaces, is_up
from reconciler.sandbox.guest.options import GUEST
from reconciler.sandbox.guest.power import is_running
from reconciler.sandbox.guests import LXC, QEMU, Guest
from reconciler.sandbox.handlers.nodes import existing
from reconciler.sandbox.http.routes import Handler, Routes

routes = Routes()

_AGENT = "/nodes/{node}/qemu/{vmid}/agent"
_EXEC = {
    **GUEST,
    "command": Param(type="array"),
    "input-data": Param(max_length=64 * 1024, optional=True),
}
_UNRESTRICTED = "VM.GuestAgent.Unrestricted"
_FAILED = "Agent error: Guest agent command failed, error was '{}'"


def _available(ctx: Context, params: Params) -> Guest:
    """The virtual machine, with an agent that answers; raises PVE's error otherwise."""
    guest = existing(ctx, QEMU, params.need("vmid"))
    if "agent" not in guest.config:
        raise died("No QEMU guest agent configured")
    if guest.started is None:
        raise died(f"VM {guest.vmid} is not running")
    if not behaviour(ctx.store, guest).agent or not is_up(ctx.store, guest, ctx.clock()):
        raise died("QEMU guest agent is not running")
    return guest


def _nothing(_ctx: Context, _guest: Guest) -> dict[str, Any]:
    return {}


def _interfaces(ctx: Context, guest: Guest) -> list[dict[str, Any]]:
    rows = []
    for name, mac, addresses in interfaces(ctx.store, guest, ctx.clock()):
        row: dict[str, Any] = {"name": name, "hardware-address": mac}
        if addresses:
            row["ip-addresses"] = [_address(text, "ipv4", "ipv6") for text in addresses]
        rows.append(row)
    return rows


def _address(text: str, four: str, six: str) -> dict[str, Any]:
    address, _, prefix = text.partition("/")
    return {
        "ip-address": address,
        "ip-address-type": six if ":" in address else four,
        "prefix": int(prefix or (128 if ":" in address else 32)),
    }


def _host_name(_ctx: Context, guest: Guest) -> dict[str, Any]:
    return {"host-name": guest.name}


def _time(ctx: Context, _guest: Guest) -> int:
    return ctx.now * 1_000_000_000


def _os_info(_ctx: Context, _guest: Guest) -> dict[str, Any]:
    return {"id": "debian", "name": "Debian GNU/Linux", "version-id": "13", "machine": "x86_64"}


_COMMANDS: dict[str, tuple[str, Callable[[Context, Guest], Any]]] = {
    "ping": ("POST", _nothing),
    "get-time": ("GET", _time),
    "get-host-name": ("GET", _host_name),
    "get-osinfo": ("GET", _os_info),
    "network-get-interfaces": ("GET", _interfaces),
}


def _command(answer: Callable[[Context, Guest], Any]) -> Handler:
    def run(ctx: Context, params: Params) -> dict[str, Any]:
        return {"result": answer(ctx, _available(ctx, params))}

    return run


for _name, (_method, _answer) in _COMMANDS.items():
    _may = perm("/vms/{vmid}", "VM.GuestAgent.Audit", _UNRESTRICTED, some=True)
    routes.add(_method, f"{_AGENT}/{_name}", _may, GUEST)(_command(_answer))


@routes.get(_AGENT, everybody, GUEST)
def index(_ctx: Context, _params: Params) -> list[dict[str, str]]:
    return [{"name": name} for name in sorted({*_COMMANDS, "exec", "exec-status"})]


@routes.post(f"{_AGENT}/exec", perm("/vms/{vmid}", _UNRESTRICTED), _EXEC)
def start_command(ctx: Context, params: Params) -> dict[str, int]:
    """Its process id; `exec-status` returns the result."""
    command = params["command"]
    guest = _available(ctx, params)
    words = [str(word) for word in command] if isinstance(command, list) else []
    if not words:
        raise died("command or input-data (or both) required")
    result = execute(ctx.store, guest, words)
    if result is None:
        text = f"Failed to execute child process “{words[0]}” (No such file or directory)"
        raise died(_FAILED.format(text))
    folder = _processes(ctx, guest)
    folder.mkdir(parents=True, exist_ok=True)
    pid = 1000 + sum(1 for _ in folder.iterdir())
    data: dict[str, Any] = {"ends": time.time() + result.seconds, "exit": result.exit}
    data |= {"out": result.out, "err": result.err}
    (folder / str(pid)).write_text(json.dumps(data), "utf-8")
    return {"pid": pid}


@routes.get(
    f"{_AGENT}/exec-status",
    perm("/vms/{vmid}", _UNRESTRICTED),
    {**GUEST, "pid": Param(type="integer")},
)
def command_status(ctx: Context, params: Params) -> dict[str, Any]:
    """The output is returned once, when the command has ended; then the process id is forgotten."""
    guest, pid = _available(ctx, params), params.need("pid")
    path = _processes(ctx, guest) / pid
    if not path.exists():
        raise died(_FAILED.format("PID lld does not exist").replace("lld", pid))
    data = json.loads(path.read_text("utf-8"))
    if time.time() < data.pop("ends"):
        return {"exited": 0}
    path.write_text(json.dumps({**data, "ends": 0}), "utf-8")
    result = Result(**data)
    row: dict[str, Any] = {"exited": 1, "exitcode": result.exit}
    row |= {"out-data": result.out} if result.out else {}
    return row | ({"err-data": result.err} if result.err else {})


def _processes(ctx: Context, guest: Guest) -> Path:
    """Commands since the guest was started."""
    return ctx.store.run_folder / "guests" / f"{guest.vmid}.processes" / str(guest.started)


@routes.get("/nodes/{node}/lxc/{vmid}/interfaces", perm("/vms/{vmid}", "VM.Audit"), GUEST)
def container_interfaces(ctx: Context, params: Params) -> list[dict[str, Any]] | None:
    """None for a stopped container."""
    guest = existing(ctx, LXC, params.need("vmid"))
    if not is_running(ctx.store, guest.vmid):
        return None
    rows = []
    for name, mac, addresses in interfaces(ctx.store, guest, ctx.clock()):
        row: dict[str, Any] = {"name": name, "hwaddr": mac, "hardware-address": mac}
        row["ip-addresses"] = [_address(text, "inet", "inet6") for text in addresses]
        row |= {("inet6" if ":" in text else "inet"): text for text in addresses}
        rows.append(row)
    return rows
