"""/nodes/NODE/tasks (PVE::API2::Tasks)."""

from __future__ import annotations

from typing import Any

from reconciler.pve.schema import Param
from reconciler.sandbox.checks import everybody
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.failure import bad_parameters
from reconciler.sandbox.http.routes import Page, Routes
from reconciler.sandbox.tasks import (
    Finished,
    Upid,
    exit_status,
    finished_tasks,
    log_file,
    running_tasks,
    stop_task,
)

routes = Routes()

_PATH = "/nodes/{node}/tasks"
_NODE = {"node": Param(format="pve-node")}
_COUNT = Param(type="integer", minimum=0, optional=True)
_NUMBER = Param(type="integer", optional=True)
_UPID = {**_NODE, "upid": Param()}
_LIST = {
    **_NODE,
    "start": _COUNT,
    "limit": _COUNT,
    "userfilter": Param(optional=True),
    "typefilter": Param(optional=True),
    "vmid": Param(
        type="integer", format="pve-vmid", minimum=100, maximum=999_999_999, optional=True
    ),
    "errors": Param(type="boolean", optional=True),
    "source": Param(enum=("archive", "active", "all"), optional=True),
    "since": _NUMBER,
    "until": _NUMBER,
    "statusfilter": Param(format="pve-task-status-type-list", optional=True),
}
_ALL_STATES = frozenset({"ok", "warning", "error", "unknown"})
_RUNNING = "RUNNING"


@routes.get(_PATH, everybody, _LIST)
def index(ctx: Context, params: Params) -> Page:
    """Tasks of the node, newest first; those of others need Sys.Audit on the node. Only those that
    have ended, unless `source` asks for the running ones.
    """
    sees_all = ctx.may(f"/nodes/{params.need('node')}", ["Sys.Audit"])
    source = params.text("source") or "archive"
    found = finished_tasks(ctx.store) if source != "active" else []
    if source != "archive":
        found = [Finished(upid, 0, _RUNNING) for upid in running_tasks(ctx.store)] + found
    rows = [
        _row(task)
        for task in found
        if task.upid.node == ctx.node
        and (sees_all or _owns(ctx, task.upid))
        and _wanted(task, params)
    ]
    start, limit = params.number("start") or 0, params.number("limit")
    return Page(rows[start : start + (50 if limit is None else limit)], len(rows))


@routes.get(f"{_PATH}/{{upid}}", everybody, _UPID)
def entry(_ctx: Context, _params: Params) -> list[dict[str, str]]:
    return [{"name": "log"}, {"name": "status"}]


@routes.get(f"{_PATH}/{{upid}}/status", everybody, _UPID)
def status(ctx: Context, params: Params) -> dict[str, Any]:
    upid = _upid(params)
    if upid.node != ctx.node or not log_file(ctx.store, upid).exists():
        raise bad_parameters({"upid": "no such task"})
    _check_owner(ctx, params, upid, "Sys.Audit")
    ended = exit_status(ctx.store, upid)
    if ended is None:
        return {**upid.row(), "status": "running"}
    return {**upid.row(), "status": "stopped", "exitstatus": ended}


@routes.get(f"{_PATH}/{{upid}}/log", everybody, {**_UPID, "start": _COUNT, "limit": _COUNT})
def log(ctx: Context, params: Params) -> Page:
    """Lines counted from 1; `limit` 0 means all."""
    upid = _upid(params)
    _check_owner(ctx, params, upid, "Sys.Audit")
    try:
        lines = log_file(ctx.store, upid).read_text("utf-8").splitlines()
    except FileNotFoundError:
        lines = ["unable to open file - No such file or directory"]
    rows = [{"n": n, "t": line} for n, line in enumerate(lines or ["no content"], start=1)]
    start, limit = params.number("start") or 0, params.number("limit")
    shown = 50 if limit is None else limit or len(rows)
    return Page(rows[start : start + shown], len(rows))


@routes.delete(f"{_PATH}/{{upid}}", everybody, _UPID)
def stop(ctx: Context, params: Params) -> None:
    upid = _upid(params)
    if upid.node != ctx.node or not log_file(ctx.store, upid).exists():
        raise bad_parameters({"upid": "no such task"})
    _check_owner(ctx, params, upid, "Sys.Modify")
    stop_task(ctx.store, upid)


def _row(task: Finished) -> dict[str, Any]:
    row = {**task.upid.row(), "status": task.status}
    return row if task.status == _RUNNING else {**row, "endtime": task.endtime}


def _upid(params: Params) -> Upid:
    upid = Upid.parse(params.need("upid"))
    if upid is None:
        raise bad_parameters({"upid": "unable to parse worker upid"})
    return upid


def _owns(ctx: Context, upid: Upid) -> bool:
    """A token's tasks also belong to its user, but not the other way round."""
    return ctx.actor in (upid.owner, upid.owner.partition("!")[0])


def _check_owner(ctx: Context, params: Params, upid: Upid, privilege: str) -> None:
    if not _owns(ctx, upid):
        ctx.require(f"/nodes/{params.need('node')}", [privilege])


def _wanted(task: Finished, params: Params) -> bool:
    upid, state = task.upid, _state(task.status)
    user, kind, guest = (params.text(name) for name in ("userfilter", "typefilter", "vmid"))
    since, until = params.number("since"), params.number("until")
    states = _ALL_STATES
    if params.flag("errors"):
        states = _ALL_STATES - {"ok"}
    elif "statusfilter" in params:
        states = frozenset(state.lower() for state in params.names("statusfilter"))
    return (
        (not user or user.lower() in upid.row()["user"].lower())
        and (not kind or upid.type == kind)
        and (not guest or upid.id == guest)
        and (since is None or upid.starttime >= since)
        and (until is None or upid.starttime <= until)
        and state in states
    )


def _state(status: str) -> str:
    if status == "OK":
        return "ok"
    if status.startswith("WARNINGS: "):
        return "warning"
    return "unknown" if status == "unexpected status" else "error"
