"""Shared by backup jobs and single runs of vzdump: checks and selection of guests.

PVE source: PVE::VZDump, and `assert_param_permission_common` of PVE::API2::Backup.
"""

from __future__ import annotations

from typing import Any

from reconciler.pve.backup_options import NEEDS_SYS_MODIFY, ROOT_ONLY, notes_complaint
from reconciler.pve.formats import split_list
from reconciler.sandbox.config.jobcfg import parse_all_properties, properties
from reconciler.sandbox.config.perltext import true
from reconciler.sandbox.context import Context
from reconciler.sandbox.failure import bad_parameters, died
from reconciler.sandbox.guests import guests

Options = dict[str, Any]


def truthy(value: Any) -> bool:
    """Perl's truth of an option, as sent or as read from a file."""
    if value is None or isinstance(value, bool):
        return bool(value)
    return true(str(value))


def storage_of(options: Options) -> str | None:
    """The storage of the backups; None for a plain folder."""
    if truthy(options.get("dumpdir")):
        return None
    return str(options["storage"]) if truthy(options.get("storage")) else "local"


def check_rights(ctx: Context, options: Options, *, deleting: bool = False) -> None:
    """Options that need additional privileges; not called for root@pam."""
    for key in ("tmpdir", "dumpdir", "script", "job-id"):
        if key in options and key in ROOT_ONLY:
            raise bad_parameters({key: "Only root may set this option."})
    if any(key in options for key in NEEDS_SYS_MODIFY):
        ctx.require("/", ["Sys.Modify"])
    fleecing = options.get("fleecing")
    if truthy(fleecing) and not deleting:
        parsed = properties("fleecing", fleecing) if isinstance(fleecing, str) else fleecing
        if parsed and truthy(parsed.get("storage")):
            ctx.require(f"/storage/{parsed['storage']}", ["Datastore.AllocateSpace"])


def verify(options: Options, *, complete: bool) -> None:
    """`verify_vzdump_parameters`: reads property strings, sets `all` for `exclude`."""
    for key in ("all", "exclude", "pool"):
        if truthy(options.get(key)) and truthy(options.get("vmid")):
            raise bad_parameters({key: "option conflicts with option 'vmid'"})
    parse_all_properties(options)
    if truthy(options.get("notes-template")):
        complaint = notes_complaint(str(options["notes-template"]))
        if complaint is not None:
            raise bad_parameters({"notes-template": f"{complaint}\n"})
    if options.get("exclude") is not None and not truthy(options.get("pool")):
        options["all"] = 1
    if complete and not any(truthy(options.get(key)) for key in ("all", "stop", "pool", "vmid")):
        raise bad_parameters({"vmid": "property is missing"})


def selected_guests(ctx: Context, options: Options) -> dict[str, list[int]]:
    """node -> the guests that the options name, sorted; those that do not exist under ``""``."""
    known = {guest.vmid: guest.node for guest in guests(ctx.store)}
    pool = options.get("pool")
    if truthy(pool):
        if pool not in ctx.cfg.pools:
            raise died(f"pool '{pool}' does not exist")
        wanted = [guest for guest in ctx.cfg.pools[pool].vms if guest in known]
    elif truthy(options.get("vmid")):
        wanted = [int(guest) for guest in split_list(str(options["vmid"]))]
    elif truthy(options.get("all")):
        excluded = {int(guest) for guest in split_list(str(options.get("exclude") or ""))}
        wanted = [guest for guest in known if guest not in excluded]
    else:
        return {}
    node = options.get("node")
    found: dict[str, list[int]] = {}
    for guest in sorted(wanted):
        if guest not in known:
            found.setdefault("", []).append(guest)
        elif node is None or node == known[guest]:
            found.setdefault(known[guest], []).append(guest)
    return found
