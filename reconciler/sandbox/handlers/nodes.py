"""/nodes: the node itself, guest lists and guest status (PVE::API2::Nodes, Qemu, LXC)."""

from __future__ import annotations

from typing import Any

from reconciler.pve.schema import Param
from reconciler.sandbox.checks import everybody, perm
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.failure import died, forbidden
from reconciler.sandbox.guests import LXC, QEMU, Guest, config_file, figures, guests
from reconciler.sandbox.http.routes import Handler, Routes
from reconciler.sandbox.keys import fingerprint
from reconciler.sandbox.resources import node_row

routes = Routes()

_NODE = {"node": Param(format="pve-node")}
_VMID = Param(type="integer", format="pve-vmid", minimum=100, maximum=999_999_999)
_AUDIT = perm("/vms/{vmid}", "VM.Audit")


@routes.get("/nodes", everybody)
def index(ctx: Context, _params: Params) -> list[dict[str, Any]]:
    """The one node, with the fingerprint of its certificate."""
    node = ctx.store.node
    row = node_row(ctx, node)
    certificate = ctx.store.folder / "nodes" / node / "pve-ssl.pem"
    if certificate.exists():
        row["ssl_fingerprint"] = fingerprint(certificate)
    return [row]


@routes.get("/nodes/{node}", everybody, _NODE)
def node_index(_ctx: Context, _params: Params) -> list[dict[str, str]]:
    return [{"name": name} for name in ("lxc", "qemu", "storage", "tasks", "version", "vzdump")]


@routes.get("/nodes/{node}/certificates/info", everybody, _NODE)
def certificates(ctx: Context, _params: Params) -> list[dict[str, str]]:
    """The CA and the node's certificate, without the fields that are read out of them
    (PVE::API2::Certificates)."""
    own = ctx.store.folder / "nodes" / ctx.store.node
    paths = (ctx.store.folder / "pve-root-ca.pem", own / "pve-ssl.pem", own / "pveproxy-ssl.pem")
    return [
        {"filename": path.name, "fingerprint": fingerprint(path), "pem": path.read_text()}
        for path in paths
        if path.exists()
    ]


def _list(kind: str) -> Handler:
    def listing(ctx: Context, params: Params) -> list[dict[str, Any]]:
        """Guests of the node on which the caller has VM.Audit."""
        return [
            _row(guest)
            for guest in guests(ctx.store)
            if guest.kind == kind
            and guest.node == params.need("node")
            and ctx.may(f"/vms/{guest.vmid}", ["VM.Audit"])
        ]

    return listing


def _status(kind: str) -> Handler:
    def current(ctx: Context, params: Params) -> dict[str, Any]:
        guest = existing(ctx, kind, params.need("vmid"))
        row = {**_row(guest), "ha": {"managed": 0}}
        return {**row, "qmpstatus": "stopped"} if kind == QEMU else row

    return current


def _guest_index(kind: str, name: str) -> Handler:
    """A directory index; of a virtual machine's own, PVE does not ask whether there is one."""

    def index(ctx: Context, params: Params) -> list[dict[str, str]]:
        if (kind, name) != (QEMU, "status"):
            existing(ctx, kind, params.need("vmid"))
        return [{"subdir": name}]

    return index


def _create(ctx: Context, params: Params) -> None:
    """Refused as PVE refuses it; the sandbox makes no guests."""
    paths = [f"/vms/{params.text('vmid') or ''}", f"/pool/{params.text('pool') or ''}"]
    if not any(ctx.may(path.rstrip("/"), ["VM.Allocate"]) for path in paths):
        raise forbidden()
    raise died("the embedded Proxmox VE makes no guests")


for _kind in (QEMU, LXC):
    _base = f"/nodes/{{node}}/{_kind}"
    _options = {"full": Param(type="boolean", optional=True)} if _kind == QEMU else {}
    routes.get(_base, everybody, {**_NODE, **_options})(_list(_kind))
    _guest = {**_NODE, "vmid": _VMID}
    routes.get(f"{_base}/{{vmid}}", everybody, _guest)(_guest_index(_kind, "status"))
    routes.get(f"{_base}/{{vmid}}/status", everybody, _guest)(_guest_index(_kind, "current"))
    routes.get(f"{_base}/{{vmid}}/status/current", _AUDIT, _guest)(_status(_kind))
    routes.add("POST", _base, everybody, None)(_create)


def existing(ctx: Context, kind: str, vmid: str) -> Guest:
    """The guest of this kind on the local node; raises with PVE's words when there is none."""
    node = ctx.store.node
    for guest in guests(ctx.store):
        if (guest.kind, guest.node, str(guest.vmid)) == (kind, node, vmid):
            return guest
    raise died(f"Configuration file '{config_file(kind, node, vmid)}' does not exist")


def _row(guest: Guest) -> dict[str, Any]:
    row = {**figures(guest), "cpus": guest.cpus}
    if guest.kind == LXC:
        row |= {"type": "lxc", "swap": 0, "maxswap": guest.swap}
    else:
        row["memhost"] = 0
    if guest.template:
        row["template"] = 1
    return row
