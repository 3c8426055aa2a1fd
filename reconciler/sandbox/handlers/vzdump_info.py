"""/nodes/NODE/vzdump: defaults and the configuration in an archive (PVE::API2::VZDump)."""

from __future__ import annotations

from typing import Any

from reconciler.pve.backup_options import VZDUMP_DEFAULTS
from reconciler.pve.property_strings import render_properties
from reconciler.pve.schema import Param
from reconciler.sandbox.backup.contents import saved_config
from reconciler.sandbox.checks import everybody
from reconciler.sandbox.config.jobcfg import properties
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.failure import died
from reconciler.sandbox.guest.volumes import check_access, enabled_storage, existing_archive
from reconciler.sandbox.http.routes import Routes
from reconciler.sandbox.storage.plugins import check_online

routes = Routes()

_PATH = "/nodes/{node}/vzdump"
_NODE = {"node": Param(format="pve-node")}
_SUB_DEFAULTS = {
    "performance": {"max-workers": 16, "pbs-entries-max": 1048576},
    "fleecing": {"enabled": 0},
}
_FOR_AUDITORS = ("mailto", "tmpdir", "dumpdir", "script", "ionice")


@routes.get(
    f"{_PATH}/defaults",
    everybody,
    {**_NODE, "storage": Param(format="pve-storage-id", optional=True)},
)
def defaults(ctx: Context, params: Params) -> dict[str, Any]:
    """vzdump's defaults; some of them only with Sys.Audit on the node."""
    name = params.text("storage") or "local"
    seen = ["Datastore.Audit", "Datastore.AllocateSpace"]
    ctx.require(f"/storage/{name}", seen, some=True)
    section = enabled_storage(ctx, name)
    check_online(name, section)
    if "backup" not in section.values["content"]:
        raise died(f"can't use storage '{name}' for backups - wrong content type")
    found: dict[str, Any] = {**VZDUMP_DEFAULTS, **_SUB_DEFAULTS, "storage": name}
    if section.type != "pbs":
        found["dumpdir"] = f"{section.values['path']}/dump"
    rules = section.values.get("prune-backups")
    if rules is not None:
        keep = properties("prune-backups", rules) if isinstance(rules, str) else rules
        texts = {key: str(value) for key, value in keep.items()}
        found["prune-backups"] = render_properties("prune-backups", texts)
    if not ctx.may(f"/nodes/{params.need('node')}", ["Sys.Audit"]):
        found = {key: value for key, value in found.items() if key not in _FOR_AUDITORS}
    return found


@routes.get(f"{_PATH}/extractconfig", everybody, {**_NODE, "volume": Param()})
def extract_config(ctx: Context, params: Params) -> str:
    """The configuration of the guest that was saved, as text."""
    text = params.need("volume")
    check_access(ctx, None, text, "backup")
    archive = existing_archive(ctx, text)
    ctx.require(f"/vms/{archive.guest}", ["VM.Backup"])
    if archive.type == "unknown":
        raise died(f"ERROR: couldn't determine archive info from '{archive.path.name}'")
    return saved_config(archive)
