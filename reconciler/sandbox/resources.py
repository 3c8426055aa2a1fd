"""Rows of /cluster/resources; members of pools are shown with the same rows."""

from __future__ import annotations

from typing import Any

from reconciler.sandbox.config.sections import Section
from reconciler.sandbox.config.storagecfg import available_on, content_text
from reconciler.sandbox.config.store import Store
from reconciler.sandbox.context import Context
from reconciler.sandbox.failure import ApiError
from reconciler.sandbox.guests import Guest, figures
from reconciler.sandbox.storage_plugins import check_online

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

_DIRECTORY_SPACE = (26142654464, 270553174016)
_BLOCK_SPACE = (13421772800, 107374182400)


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


def guest_row(guest: Guest) -> Row:
    return {
        **figures(guest),
        "id": f"{guest.kind}/{guest.vmid}",
        "type": guest.kind,
        "node": guest.node,
        "maxcpu": guest.cpus,
        "template": int(guest.template),
        "memhost": 0,
    }


def storage_row(store: Store, name: str, section: Section) -> Row:
    """As the local node sees it, or the first of the nodes that the storage is restricted to.

    `unknown` and without figures where the local node cannot use it.
    """
    nodes = sorted(section.values.get("nodes") or ())
    node = store.node if not nodes or store.node in nodes else nodes[0]
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
    if usable(store, name, section):
        used, size = space(section)
        row |= {"status": "available", "disk": used, "maxdisk": size}
    return row


def usable(store: Store, name: str, section: Section) -> bool:
    """Enabled on the local node, with a server that can be reached."""
    if not available_on(section, store.node):
        return False
    try:
        check_online(name, section)
    except ApiError:
        return False
    return True


def space(section: Section) -> tuple[int, int]:
    """Bytes used and in all: made up, and always the same."""
    return _DIRECTORY_SPACE if "path" in section.values else _BLOCK_SPACE
