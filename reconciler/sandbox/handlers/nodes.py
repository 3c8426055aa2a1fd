"""/nodes: the node itself, guest lists and guest status (PVE::API2::Nodes, Qemu, LXC)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from reconciler.pve.schema import Param
from reconciler.sandbox.backup.listed import zone_of
from reconciler.sandbox.checks import everybody, perm
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.failure import died
from reconciler.sandbox.guest.options import GUEST
from reconciler.sandbox.guests import LXC, QEMU, Guest, config_file, figures, guests
from reconciler.sandbox.http.routes import Handler, Routes
from reconciler.sandbox.keys import fingerprint
from reconciler.sandbox.resources import NODE_FIGURES, memory_used, node_row

routes = Routes()

_NODE = {"node": Param(format="pve-node")}
_AUDIT = perm("/vms/{vmid}", "VM.Audit")
_BELOW_NODE = ("lxc", "qemu", "status", "storage", "tasks", "time", "version", "vzdump")


@routes.get("/nodes", everybody)
def index(ctx: Context, _params: Params) -> list[dict[str, Any]]:
    """All nodes, with the fingerprints of their certificates."""
    rows = []
    for node in ctx.store.nodes:
        row = node_row(ctx, node)
        certificate = ctx.store.folder / "nodes" / node / "pve-ssl.pem"
        if certificate.exists():
            row["ssl_fingerprint"] = fingerprint(certificate)
        rows.append(row)
    return rows


@routes.get("/nodes/{node}", everybody, _NODE)
def node_index(_ctx: Context, _params: Params) -> list[dict[str, str]]:
    return [{"name": name} for name in _BELOW_NODE]


@routes.get("/nodes/{node}/status", perm("/nodes/{node}", "Sys.Audit"), _NODE)
def node_status(ctx: Context, _params: Params) -> dict[str, Any]:
    """Status of a node; PVE returns more."""
    total, used = NODE_FIGURES["maxmem"], memory_used(ctx.store, ctx.node)
    size, taken = NODE_FIGURES["maxdisk"], NODE_FIGURES["disk"]
    return {
        "cpu": NODE_FIGURES["cpu"],
        "cpuinfo": {"cpus": NODE_FIGURES["maxcpu"]},
        "memory": {"total": total, "used": used, "free": total - used, "available": total - used},
        "rootfs": {"total": size, "used": taken, "free": size - taken, "avail": size - taken},
        "uptime": NODE_FIGURES["uptime"],
    }


@routes.get("/nodes/{node}/time", perm("/nodes/{node}", "Sys.Audit"), _NODE)
def node_time(ctx: Context, _params: Params) -> dict[str, Any]:
    """`localtime` is the time of day counted as if it were UTC (PVE::API2::Nodes)."""
    zone = zone_of(ctx.store)
    ahead = datetime.fromtimestamp(ctx.now, zone).utcoffset() or timedelta()
    local = ctx.now + int(ahead.total_seconds())
    return {"timezone": str(zone), "time": ctx.now, "localtime": local}


@routes.get("/nodes/{node}/certificates/info", everybody, _NODE)
def certificates(ctx: Context, _params: Params) -> list[dict[str, str]]:
    """The CA and the node's certificate, without the fields parsed from them
    (PVE::API2::Certificates)."""
    own = ctx.store.folder / "nodes" / ctx.store.node
    paths = (ctx.store.folder / "pve-root-ca.pem", own / "pve-ssl.pem", own / "pveproxy-ssl.pem")
    return [
        {"filename": path.name, "fingerprint": fingerprint(path), "pem": path.read_text()}
        for path in paths
        if path.exists()
    ]


def agent_enabled(agent: str) -> bool:
    """Whether a guest's `agent` option enables the agent."""
    return re.match(r"(?:enabled=)?(?:1|on|yes|true)\b", agent) is not None


def _list(kind: str) -> Handler:
    def listing(ctx: Context, params: Params) -> list[dict[str, Any]]:
        """Guests of the node on which the caller has VM.Audit."""
        return [
            _row(ctx, guest)
            for guest in guests(ctx.store)
            if guest.kind == kind
            and guest.node == ctx.node
            and ctx.may(f"/vms/{guest.vmid}", ["VM.Audit"])
        ]

    return listing


def _status(kind: str) -> Handler:
    def current(ctx: Context, params: Params) -> dict[str, Any]:
        guest = existing(ctx, kind, params.need("vmid"))
        row = {**_row(ctx, guest), "ha": {"managed": 0}}
        if kind == LXC:
            return row
        if agent_enabled(guest.config.get("agent", "")):
            row["agent"] = 1
        return {**row, "qmpstatus": row["status"]}

    return current


def _guest_index(kind: str, *names: str) -> Handler:
    """A directory index; for a virtual machine, PVE does not check whether it exists."""

    def index(ctx: Context, params: Params) -> list[dict[str, str]]:
        if kind == LXC or "current" in names:
            existing(ctx, kind, params.need("vmid"))
        return [{"subdir": name} for name in names]

    return index


_BELOW = {
    LXC: ("config", "pending", "status", "snapshot", "interfaces"),
    QEMU: ("config", "pending", "status", "agent", "snapshot"),
}
"""The supported paths below a guest; PVE has more."""
_STATUS = {
    LXC: ("current", "start", "stop", "shutdown", "reboot"),
    QEMU: ("current", "start", "stop", "reset", "shutdown", "reboot"),
}


for _kind in (QEMU, LXC):
    _base = f"/nodes/{{node}}/{_kind}"
    _options = {"full": Param(type="boolean", optional=True)} if _kind == QEMU else {}
    routes.get(_base, everybody, {**_NODE, **_options})(_list(_kind))
    routes.get(f"{_base}/{{vmid}}", everybody, GUEST)(_guest_index(_kind, *_BELOW[_kind]))
    routes.get(f"{_base}/{{vmid}}/status", everybody, GUEST)(_guest_index(_kind, *_STATUS[_kind]))
    routes.get(f"{_base}/{{vmid}}/status/current", _AUDIT, GUEST)(_status(_kind))


def existing(ctx: Context, kind: str, vmid: str) -> Guest:
    """The guest of this kind on the node; raises PVE's error if there is none."""
    for guest in guests(ctx.store):
        if (guest.kind, guest.node, str(guest.vmid)) == (kind, ctx.node, vmid):
            return guest
    raise died(f"Configuration file '{config_file(kind, ctx.node, vmid)}' does not exist")


def _row(ctx: Context, guest: Guest) -> dict[str, Any]:
    row = {**figures(guest, ctx.now), "cpus": guest.cpus}
    if guest.kind == LXC:
        row |= {"type": "lxc", "swap": 0, "maxswap": guest.swap}
    else:
        row["memhost"] = 0
    if guest.template:
        row["template"] = 1
    return row
