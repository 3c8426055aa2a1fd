"""/cluster/backup (PVE::API2::Backup)."""

from __future__ import annotations

import uuid
from typing import Any

from reconciler.access.contents import ROOT
from reconciler.pve.backup_options import DELETABLE, JOB_OPTIONS
from reconciler.pve.formats import split_list
from reconciler.pve.schema import Param
from reconciler.sandbox.backup.job import (
    Options,
    check_rights,
    selected_guests,
    storage_of,
    truthy,
    verify,
)
from reconciler.sandbox.checks import perm
from reconciler.sandbox.clock import next_run
from reconciler.sandbox.config.cronfile import FILE as CRON
from reconciler.sandbox.config.cronfile import cron_jobs
from reconciler.sandbox.config.cronfile import parse as parse_cron
from reconciler.sandbox.config.cronfile import render as render_cron
from reconciler.sandbox.config.jobcfg import BACKUP, JOB_FILE, jobs, read_jobs, write_jobs
from reconciler.sandbox.config.sections import Section, check_config
from reconciler.sandbox.config.store import locked
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.failure import bad_parameters, died, forbidden
from reconciler.sandbox.guests import Guest, guests
from reconciler.sandbox.http.routes import Routes
from reconciler.sandbox.storage.disks import backed_up, disks

routes = Routes()

_PATH = "/cluster/backup"
_ID = {"id": Param(pattern=r"\S+", max_length=50)}
_START = {
    "starttime": Param(pattern=r"\d{1,2}:\d{1,2}", optional=True),
    "dow": Param(format="pve-day-of-week-list", requires="starttime", optional=True),
}
_CREATE = {**JOB_OPTIONS, **_START, "id": Param(format="pve-configid", optional=True)}
_UPDATE = {
    **JOB_OPTIONS,
    **_START,
    **_ID,
    "delete": Param(format="pve-configid-list", optional=True),
}
_AUDIT = perm("/", "Sys.Audit")
_MODIFY = perm("/", "Sys.Modify")
_ALL_DAYS = "mon,tue,wed,thu,fri,sat,sun"


@routes.get(_PATH, _AUDIT)
def index(ctx: Context, _params: Params) -> list[dict[str, Any]]:
    """In the order of the file, each with its next run."""
    rows = [{**values, "id": name} for name, values in cron_jobs(ctx.store).items()]
    for name, values in jobs(ctx.store, BACKUP).items():
        following = next_run(values["schedule"], ctx.now)
        rows.append({**values, "id": name, "type": BACKUP, **following})
    return rows


@routes.get(f"{_PATH}/{{id}}", _AUDIT, _ID)
def read(ctx: Context, params: Params) -> dict[str, Any]:
    name = params.need("id")
    if name in cron_jobs(ctx.store):
        return {**cron_jobs(ctx.store)[name], "id": name}
    return {**_existing(ctx, name), "id": name, "type": BACKUP}


@routes.post(_PATH, _MODIFY, _CREATE)
def create(ctx: Context, params: Params) -> None:
    options: Options = dict(params)
    name = options.pop("id", None) or str(uuid.uuid4())
    if ctx.actor != ROOT:
        check_rights(ctx, options)
        _require_storage(ctx, storage_of(options))
    _check_pool(ctx, options.get("pool"))
    _set_schedule(options, needed=True)
    options.setdefault("enabled", "1")
    with locked(ctx.store, "jobs.cfg"):
        sections = read_jobs(ctx.store.read("jobs.cfg"))
        if name in sections.by_id:
            raise died(f"Job '{name}' already exists")
        verify(options, complete=True)
        values = check_config(JOB_FILE, BACKUP, options, create=True)
        sections.by_id[name] = Section(BACKUP, values)
        write_jobs(ctx.store, sections)


@routes.put(f"{_PATH}/{{id}}", _MODIFY, _UPDATE)
def update(ctx: Context, params: Params) -> None:
    """Of guests, pool and all, the last one given wins; the others are dropped.

    A job of vzdump.cron moves to jobs.cfg.
    """
    options: Options = dict(params)
    name = options.pop("id")
    deleted = dict.fromkeys(split_list(options.pop("delete", "")), 1)
    _check_update(ctx, options, deleted)
    _check_pool(ctx, options.get("pool"))
    _set_schedule(options, needed=False)
    with locked(ctx.store, CRON), locked(ctx.store, "jobs.cfg"):
        sections, cron = read_jobs(ctx.store.read("jobs.cfg")), parse_cron(ctx.store.read(CRON))
        if not options and not deleted:
            raise died("no options specified")
        verify(options, complete=False)
        check_config(JOB_FILE, BACKUP, options, create=False)
        moved = cron.jobs.pop(name, None)
        if moved is not None:
            sections.by_id[name] = Section(BACKUP, dict(moved))
        job = sections.by_id.get(name)
        if job is None or job.type != BACKUP:
            raise died("no such vzdump job")
        _check_update(ctx, options, deleted)
        _check_current(ctx, job.values)
        _change(job.values, options, deleted)
        verify(job.values, complete=True)
        if moved is not None:
            ctx.store.write(CRON, render_cron(cron))
        write_jobs(ctx.store, sections)


@routes.delete(f"{_PATH}/{{id}}", _MODIFY, _ID)
def delete(ctx: Context, params: Params) -> None:
    """Whatever the type of the job, as in PVE."""
    name = params.need("id")
    with locked(ctx.store, CRON), locked(ctx.store, "jobs.cfg"):
        cron = parse_cron(ctx.store.read(CRON))
        if cron.jobs.pop(name, None) is not None:
            ctx.store.write(CRON, render_cron(cron))
            return
        sections = read_jobs(ctx.store.read("jobs.cfg"))
        if name not in sections.by_id:
            raise bad_parameters({"id": f"No such job '{name}'"})
        del sections.by_id[name]
        write_jobs(ctx.store, sections)


@routes.get(f"{_PATH}/{{id}}/included_volumes", _AUDIT, _ID)
def included_volumes(ctx: Context, params: Params) -> dict[str, Any]:
    """A tree of guests and their disks; only guests that the caller may audit."""
    chosen = selected_guests(ctx, _existing(ctx, params.need("id")))
    known = {guest.vmid: guest for guest in guests(ctx.store)}
    wanted = sorted(number for numbers in chosen.values() for number in numbers)
    shown = (number for number in wanted if ctx.may(f"/vms/{number}", ["VM.Audit"]))
    return {"children": [_tree(number, known.get(number)) for number in shown]}


def _existing(ctx: Context, name: str) -> dict[str, Any]:
    found = cron_jobs(ctx.store).get(name) or jobs(ctx.store, BACKUP).get(name)
    if found is None:
        raise bad_parameters({"id": f"No such job '{name}'"})
    return found


def _require_storage(ctx: Context, storage: str | None) -> None:
    if storage is not None:
        ctx.require(f"/storage/{storage}", ["Datastore.Allocate"])


def _check_pool(ctx: Context, pool: str | None) -> None:
    if truthy(pool):
        if pool not in ctx.cfg.pools:
            raise forbidden(f"pool '{pool}' does not exist")
        ctx.require(f"/pool/{pool}", ["VM.Backup"])


def _check_update(ctx: Context, options: Options, deleted: Options) -> None:
    if ctx.actor == ROOT:
        return
    check_rights(ctx, options)
    check_rights(ctx, deleted, deleting=True)
    if truthy(options.get("storage")):
        _require_storage(ctx, options["storage"])
    elif "storage" in deleted:
        _require_storage(ctx, "local")


def _check_current(ctx: Context, current: Options) -> None:
    if ctx.actor == ROOT:
        return
    if truthy(current.get("dumpdir")):
        raise died("only root@pam may edit jobs with a 'dumpdir' option.")
    _require_storage(ctx, storage_of(current))


def _set_schedule(options: Options, *, needed: bool) -> None:
    """`starttime` and `dow` of earlier releases become a schedule."""
    start = options.pop("starttime", None)
    days = ",".join(split_list(options.pop("dow", "") or ""))
    if "schedule" in options:
        if start is not None:
            text = "'starttime' and 'schedule' cannot both be set"
            raise bad_parameters({"starttime": text})
    elif start is not None:
        options["schedule"] = start if days in ("", _ALL_DAYS) else f"{days} {start}"
    elif needed:
        raise bad_parameters({"schedule": "neither 'starttime' nor 'schedule' were set"})


def _change(job: Options, options: Options, deleted: Options) -> None:
    for key in deleted:
        if key not in DELETABLE:
            raise bad_parameters({"delete": f"unknown option '{key}'"})
        job.pop(key, None)
    job.update(options)
    if job.get("exclude") is not None and job.get("pool") is None:
        job["all"] = 1
    for key in _dropped(job, options):
        job.pop(key, None)


def _dropped(job: Options, options: Options) -> tuple[str, ...]:
    if options.get("vmid") is not None:
        return ("all", "exclude", "pool")
    if truthy(options.get("all")):
        return ("vmid", "pool")
    return ("vmid", "all", "exclude") if truthy(job.get("pool")) else ()


def _tree(number: int, guest: Guest | None) -> dict[str, Any]:
    if guest is None:
        return {"id": number, "type": "unknown", "leaf": 1}
    children = []
    for disk in disks(guest):
        included, reason = backed_up(guest, disk)
        children.append(
            {
                "id": f"{guest.vmid}:{disk.key}",
                "name": disk.volume,
                "included": int(included),
                "reason": reason,
                "leaf": 1,
            }
        )
    return {
        "id": guest.vmid,
        "type": guest.kind,
        "name": guest.name,
        "children": children,
        "leaf": int(not children),
    }
