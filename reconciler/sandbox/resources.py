"""Rows of /cluster/resources, also used for members of pools."""

from __future__ import annotations

from typing import Any

from reconciler.sandbox.config.sections import Section
from reconciler.sandbox.config.storagecfg import available_on, content_text
from reconciler.sandbox.config.store import Store
from reconciler.sandbox.context import Context
from reconciler.sandbox.failure import ApiError
from reconciler.sandbox.guests import Guest, figures
from reconciler.sandbox.storage.plugins import check_online
from reconciler.sandbox.storage.space import space

Row = dict[str, Any]

_MEMORY = 25276502016

NODE_FIGURES = {
    "cpu": 0.02,
    "disk": 26142654464,
    "maxcpu": 2,
    "maxdisk": 270553174016,
    "maxmem": _MEMORY,
    "mem": 5434245120,
    "uptime": 3020,
}
"""The figures of the sandbox's nodes: invented and constant, except for the memory if
`FOLDER.run/nodes/NAME.memory` sets the free bytes.
"""


def node_row(ctx: Context, node: str) -> Row:
    """Figures only with Sys.Audit on the node, and not if it is down."""
    row: Row = {"node": node, "id": f"node/{node}", "type": "node"}
    if not ctx.store.is_up(node):
        return {**row, "status": "offline"}
    row |= {"status": "online", "level": ""}
    if not ctx.may(f"/nodes/{node}", ["Sys.Audit"]):
        return row
    return row | NODE_FIGURES | {"mem": memory_used(ctx.store, node)}


def memory_used(store: Store, node: str) -> int:
    """Bytes."""
    path = store.run_folder / "nodes" / f"{node}.memory"
    text = path.read_text("utf-8").strip() if path.exists() else ""
    return max(0, _MEMORY - int(text)) if text.isdigit() else int(NODE_FIGURES["mem"])


def guest_row(ctx: Context, guest: Guest) -> Row:
    """Few fields for a guest that is new, or on a node that is down."""
    row: Row = {
        "id": f"{guest.kind}/{guest.vmid}",
        "type": guest.kind,
        "node": guest.node,
        "vmid": guest.vmid,
    }
    if ctx.now < guest.reported or not ctx.store.is_up(guest.node):
        return {**row, "status": "unknown"}
    return {
        **figures(guest, ctx.now),
        **row,
        "maxcpu": guest.cpus,
        "template": int(guest.template),
        "memhost": 0,
    }


def storage_row(store: Store, node: str, name: str, section: Section) -> Row:
    """The storage on the node; `unknown` and without figures if the node cannot use it."""
    row: Row = {
        "id": f"storage/{node}/{name}",
        "type": "storage",
        "storage": name,
        "node": node,
        "plugintype": section.type,
        "content": content_text(section.values["content"]),
        "shared": int(bool(section.values.get("shared"))),
        "status": "unknown",
    }
    if store.is_up(node) and usable(node, name, section):
        used, size = space(store, name, section)
        row |= {"status": "available", "disk": used, "maxdisk": size}
    return row


def first_node(store: Store, section: Section) -> str:
    """The local node, or the first node that the storage is restricted to."""
    nodes = sorted(section.values.get("nodes") or ())
    return store.node if not nodes or store.node in nodes else nodes[0]


def usable(node: str, name: str, section: Section) -> bool:
    """Whether it is enabled on the node and its server is reachable."""
    if not available_on(section, node):
        return False
    try:
        check_online(name, section)
    except ApiError:
        return False
    return True
