"""Rows of /cluster/resources; members of pools are shown with the same rows."""

from __future__ import annotations

from typing import Any

from reconciler.sandbox.context import Context
from reconciler.sandbox.guests import Guest, figures
from reconciler.sandbox.sections import Section
from reconciler.sandbox.storagecfg import available_on, content_text

Row = dict[str, Any]

NODE_FIGURES = {
    "cpu": 0.02,
    "disk": 26142654464,
    "maxcpu": 2,
    "maxdisk": 270553174016,
    "maxmem": 25276502016,
    "mem": 5434245120,
    "uptime": 3020,
}
"""What the sandbox's node reports about itself: made up, and always the same."""

_DISK_FIGURES = {
    "dir": {"disk": 26142654464, "maxdisk": 270553174016},
    "lvmthin": {"disk": 13421772800, "maxdisk": 107374182400},
}


def node_row(ctx: Context, node: str) -> Row:
    """Figures only for who has Sys.Audit on the node."""
    row: Row = {
        "node": node,
        "id": f"node/{node}",
        "type": "node",
        "status": "online",
        "level": "",
    }
    return row | NODE_FIGURES if ctx.may(f"/nodes/{node}", ["Sys.Audit"]) else row


def guest_row(ctx: Context, guest: Guest) -> Row:
    """`pool` only when the guest is in one and the caller has Pool.Audit there."""
    row: Row = {
        **figures(guest),
        "id": f"{guest.kind}/{guest.vmid}",
        "type": guest.kind,
        "node": guest.node,
        "maxcpu": guest.cpus,
        "template": int(guest.template),
        "memhost": 0,
    }
    pool = ctx.cfg.pool_of(guest.vmid)
    if pool is not None and ctx.may(f"/pool/{pool}", ["Pool.Audit"]):
        row["pool"] = pool
    return row


def storage_row(ctx: Context, name: str, section: Section) -> Row:
    """As the local node sees it; `unknown` when it is not meant for this node."""
    node = ctx.store.node
    row: Row = {
        "id": f"storage/{node}/{name}",
        "type": "storage",
        "storage": name,
        "node": node,
        "plugintype": section.type,
        "content": content_text(section.values["content"]),
        "shared": int(bool(section.values.get("shared"))),
        "status": "available" if available_on(section, node) else "unknown",
    }
    return {**row, **_DISK_FIGURES.get(section.type, {})}
