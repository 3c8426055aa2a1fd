"""/cluster/tasks, /cluster/log, /cluster/jobs and /cluster/backup-info (PVE::API2::Cluster)."""

from __future__ import annotations

from typing import Any

from reconciler.pve.schema import Param
from reconciler.sandbox.backup.job import selected_guests
from reconciler.sandbox.checks import everybody, perm, root_only
from reconciler.sandbox.clock import runs_after, stamp
from reconciler.sandbox.cluster_log import entries
from reconciler.sandbox.config.cronfile import cron_jobs
from reconciler.sandbox.config.jobcfg import BACKUP, jobs
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.guests import guests
from reconciler.sandbox.http.routes import Routes
from reconciler.sandbox.tasks import finished_tasks, running_tasks

routes = Routes()

_ANALYZE = {
    "schedule": Param(format="pve-calendar-event", max_length=128),
    "starttime": Param(type="integer", optional=True),
    "iterations": Param(type="integer", minimum=1, maximum=100, optional=True),
}


@routes.get("/cluster/jobs", everybody)
def index(_ctx: Context, _params: Params) -> list[dict[str, str]]:
    return [{"subdir": "schedule-analyze"}, {"subdir": "realm-sync"}]


@routes.get("/cluster/backup-info", root_only)
def backup_info(_ctx: Context, _params: Params) -> list[dict[str, str]]:
    return [{"subdir": "not-backed-up"}]


@routes.get("/cluster/tasks", everybody)
def tasks(ctx: Context, _params: Params) -> list[dict[str, Any]]:
    """All with Sys.Audit on `/`, otherwise the user's own: never those of a token."""
    sees_all = ctx.may("/", ["Sys.Audit"])
    rows = [
        {**task.upid.row(), "endtime": task.endtime, "status": task.status, "saved": 1}
        for task in finished_tasks(ctx.store)
    ]
    rows = [upid.row() for upid in running_tasks(ctx.store)] + rows
    return [row for row in rows if sees_all or row["user"] == ctx.actor]


@routes.get("/cluster/log", everybody, {"max": Param(type="integer", minimum=1, optional=True)})
def log(ctx: Context, params: Params) -> list[dict[str, Any]]:
    """Everything with Sys.Syslog on `/`, otherwise only the user's own entries."""
    sees_all = ctx.may("/", ["Sys.Syslog"])
    rows = [row for row in entries(ctx.store) if sees_all or row["user"] == ctx.actor]
    return rows[: params.number("max")]


@routes.get("/cluster/jobs/schedule-analyze", everybody, _ANALYZE)
def analyze(ctx: Context, params: Params) -> list[dict[str, Any]]:
    start, count = params.number("starttime"), params.number("iterations")
    moments = runs_after(
        params.need("schedule"), ctx.now if start is None else start, 10 if count is None else count
    )
    return [{"timestamp": at, "utc": stamp(at, "%a %b %e %H:%M:%S %Y")} for at in moments]


@routes.get("/cluster/backup-info/not-backed-up", perm("/", "Sys.Audit"))
def not_backed_up(ctx: Context, _params: Params) -> list[dict[str, Any]]:
    """Guests in no backup job, not even a disabled one; only those the caller may audit."""
    covered = {
        guest
        for job in (*cron_jobs(ctx.store).values(), *jobs(ctx.store, BACKUP).values())
        for chosen in selected_guests(ctx, job).values()
        for guest in chosen
    }
    return [
        {"vmid": guest.vmid, "name": guest.name, "type": guest.kind}
        for guest in guests(ctx.store)
        if guest.vmid not in covered and ctx.may(f"/vms/{guest.vmid}", ["VM.Audit"])
    ]
