"""/cluster/resources, /cluster/status, /cluster/options (PVE::API2::Cluster)."""

from __future__ import annotations

from reconciler.pve.schema import Param
from reconciler.sandbox.checks import everybody, perm
from reconciler.sandbox.config.perltext import decode_text, file_text
from reconciler.sandbox.config.storagecfg import available_on, storages
from reconciler.sandbox.config.store import Store
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.guests import Guest, guests
from reconciler.sandbox.http.routes import Routes
from reconciler.sandbox.resources import Row, guest_row, node_row, storage_row

routes = Routes()

_ZONE = "localnetwork"
_CLUSTER = "sandbox"


@routes.get("/cluster", everybody)
def index(_ctx: Context, _params: Params) -> list[dict[str, str]]:
    names = (
        "backup",
        "backup-info",
        "jobs",
        "log",
        "nextid",
        "options",
        "resources",
        "status",
        "tasks",
    )
    return [{"name": name} for name in names]


@routes.get(
    "/cluster/resources",
    everybody,
    {
        "type": Param(enum=("vm", "storage", "node", "sdn"), optional=True),
    },
)
def resources(ctx: Context, params: Params) -> list[Row]:
    """Nodes for every caller, the rest filtered by Audit privileges; pools only without a type."""
    wanted = params.text("type")
    rows: list[Row] = []
    if wanted is None:
        rows += [
            {"id": f"/pool/{pool}", "type": "pool", "pool": pool}
            for pool in sorted(ctx.cfg.pools)
            if ctx.may(f"/pool/{pool}", ["Pool.Audit"])
        ]
    if wanted in (None, "vm"):
        rows += [
            _guest_row(ctx, guest)
            for guest in guests(ctx.store)
            if ctx.may(f"/vms/{guest.vmid}", ["VM.Audit"])
        ]
    if wanted in (None, "node"):
        rows += [_node_row(ctx, node) for node in ctx.store.nodes]
    if wanted in (None, "storage"):
        rows += [
            storage_row(ctx.store, node, name, section)
            for name, section in storages(ctx.store).items()
            for node in ctx.store.nodes
            if available_on(section, node) and ctx.may(f"/storage/{name}", ["Datastore.Audit"])
        ]
    if wanted in (None, "sdn") and _sees_zone(ctx):
        rows += [_zone_row(ctx.store, node) for node in ctx.store.nodes]
    return rows


def _node_row(ctx: Context, node: str) -> Row:
    row = node_row(ctx, node)
    return {**row, "cgroup-mode": 1} if ctx.store.is_up(node) else row


def _guest_row(ctx: Context, guest: Guest) -> Row:
    """`pool` only if the guest is in one and the caller has Pool.Audit on it."""
    row = guest_row(ctx, guest)
    pool = ctx.cfg.pool_of(guest.vmid)
    if pool is not None and ctx.may(f"/pool/{pool}", ["Pool.Audit"]):
        row["pool"] = pool
    return row


def _sees_zone(ctx: Context) -> bool:
    return ctx.may(f"/sdn/zones/{_ZONE}", ["SDN.Audit", "SDN.Use", "SDN.Allocate"], some=True)


def _zone_row(store: Store, node: str) -> Row:
    return {
        "id": f"network/{node}/zone/{_ZONE}",
        "type": "network",
        "network": _ZONE,
        "network-type": "zone",
        "node": node,
        "status": "ok" if store.is_up(node) else "unknown",
    }


@routes.get("/cluster/status", perm("/", "Sys.Audit"))
def status(ctx: Context, _params: Params) -> list[Row]:
    """The nodes; if there are several, preceded by the cluster."""
    store, nodes = ctx.store, ctx.store.nodes
    if len(nodes) == 1:
        return [_status_row(store, nodes[0], 0)]
    cluster: Row = {
        "type": "cluster",
        "id": "cluster",
        "name": _CLUSTER,
        "nodes": len(nodes),
        "version": len(nodes),
        "quorate": int(store.is_quorate),
    }
    return [cluster, *(_status_row(store, node, at) for at, node in enumerate(nodes, start=1))]


def _status_row(store: Store, node: str, number: int) -> Row:
    return {
        "type": "node",
        "id": f"node/{node}",
        "name": node,
        "nodeid": number,
        "ip": f"192.0.2.{9 + max(1, number)}",
        "level": "",
        "local": int(node == store.node),
        "online": int(store.is_up(node)),
    }


@routes.get("/cluster/options", everybody)
def options(ctx: Context, _params: Params) -> Row:
    """datacenter.cfg, simple options only; its comment lines are the description."""
    answer: Row = {"mac_prefix": "BC:24:11", "allowed-tags": [], "description": ""}
    for line in file_text(ctx.store.read("datacenter.cfg")).split("\n"):
        key, colon, value = line.partition(":")
        if line.startswith("#"):
            answer["description"] += decode_text(line[1:]) + "\n"
        elif colon:
            answer[key.strip()] = value.strip()
    return answer
