"""/nodes/NODE/storage: status and content (PVE::API2::Storage::Status, Content)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.pve.schema import Param
from reconciler.sandbox.backup.archives import archives
from reconciler.sandbox.checks import everybody, perm
from reconciler.sandbox.config.sections import Section
from reconciler.sandbox.config.storagecfg import available_on, content_text, storages
from reconciler.sandbox.config.store import Store
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.failure import ApiError, bad_parameters
from reconciler.sandbox.guest.volumes import active_storage, check_access
from reconciler.sandbox.guests import LXC, guests
from reconciler.sandbox.http.routes import Routes
from reconciler.sandbox.resources import usable
from reconciler.sandbox.storage.disks import disks
from reconciler.sandbox.storage.space import space

routes = Routes()

_PATH = "/nodes/{node}/storage"
_NODE = {"node": Param(format="pve-node")}
_ONE = {**_NODE, "storage": Param(format="pve-storage-id")}
_INDEX = {
    **_NODE,
    "storage": Param(format="pve-storage-id", optional=True),
    "content": Param(format="pve-storage-content-list", optional=True),
    "enabled": Param(type="boolean", optional=True),
    "target": Param(format="pve-node", optional=True),
    "format": Param(type="boolean", optional=True),
}
_CONTENT = {
    **_ONE,
    "content": Param(format="pve-storage-content", optional=True),
    "vmid": Param(
        type="integer", format="pve-vmid", minimum=100, maximum=999_999_999, optional=True
    ),
}
_SEES = ("Datastore.Audit", "Datastore.AllocateSpace")
_CHECK = perm("/storage/{storage}", *_SEES, some=True)


@routes.get(_PATH, everybody, _INDEX)
def index(ctx: Context, params: Params) -> list[dict[str, Any]]:
    """Status of the storages that the caller may use or audit, including disabled ones."""
    wanted, content = params.text("storage"), params.names("content")
    configured = storages(ctx.store)
    if wanted is not None and wanted not in configured:
        raise bad_parameters({"storage": "No such storage."})
    rows = []
    for name, section in configured.items():
        if wanted not in (None, name) or not ctx.may(f"/storage/{name}", _SEES, some=True):
            continue
        if params.flag("enabled") and section.values.get("disable"):
            continue
        enabled = available_on(section, ctx.node)
        if content and (not enabled or not section.values["content"].intersection(content)):
            continue
        row = _status(ctx, name, section)
        if row["total"]:
            row["used_fraction"] = row["used"] / row["total"]
        rows.append({**row, "storage": name})
    return rows


@routes.get(f"{_PATH}/{{storage}}", _CHECK, _ONE)
def entry(_ctx: Context, _params: Params) -> list[dict[str, str]]:
    return [{"subdir": name} for name in ("content", "prunebackups", "status")]


@routes.get(f"{_PATH}/{{storage}}/status", _CHECK, _ONE)
def status(ctx: Context, params: Params) -> dict[str, Any]:
    name = params.need("storage")
    section = storages(ctx.store).get(name)
    if section is None:
        raise bad_parameters({"storage": "No such storage."})
    return _status(ctx, name, section)


@routes.get(f"{_PATH}/{{storage}}/content", _CHECK, _CONTENT)
def content(ctx: Context, params: Params) -> list[dict[str, Any]]:
    """Volumes that the caller may read (`check_volume_access`), sorted."""
    name, kind, guest = params.need("storage"), params.text("content"), params.number("vmid")
    section = active_storage(ctx, name)
    rows = []
    if kind in (None, "backup") and "backup" in section.values["content"]:
        rows = [
            archive.row(name, section.type) for archive in archives(ctx, name) if archive.is_sized
        ]
    rows += [row for row in _images(ctx.store, name) if kind in (None, row["content"])]
    rows = [row for row in rows if guest in (None, row.get("vmid")) and _may_see(ctx, row)]
    return sorted(rows, key=lambda row: str(row["volid"]).lower())


def _may_see(ctx: Context, row: Mapping[str, Any]) -> bool:
    try:
        check_access(ctx, None, str(row["volid"]))
    except ApiError:
        return False
    return True


def _images(store: Store, name: str) -> list[dict[str, Any]]:
    return [
        {
            "volid": disk.volume,
            "content": "rootdir" if guest.kind == LXC else "images",
            "format": "raw",
            "size": disk.size,
            "vmid": guest.vmid,
        }
        for guest in guests(store)
        for disk in disks(guest)
        if disk.volume.partition(":")[0] == name
    ]


def _status(ctx: Context, name: str, section: Section) -> dict[str, Any]:
    active = usable(ctx.node, name, section)
    used, size = space(ctx.store, name, section) if active else (0, 0)
    return {
        "type": section.type,
        "content": content_text(section.values["content"]),
        "shared": int(bool(section.values.get("shared"))),
        "enabled": int(available_on(section, ctx.node)),
        "active": int(active),
        "total": size,
        "used": used,
        "avail": size - used,
    }
