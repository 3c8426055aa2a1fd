"""/nodes/NODE/vzdump (PVE::API2::VZDump)."""

from __future__ import annotations

import shlex
from typing import Any

from reconciler.access.contents import ROOT
from reconciler.pve.backup_options import VZDUMP_OPTIONS
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
from reconciler.sandbox.backup.vzdump import run
from reconciler.sandbox.checks import everybody
from reconciler.sandbox.context import Context, Params
from reconciler.sandbox.failure import bad_parameters
from reconciler.sandbox.http.routes import Routes
from reconciler.sandbox.tasks import Worker, run_task

routes = Routes()

_PATH = "/nodes/{node}/vzdump"
_RUN = {
    **VZDUMP_OPTIONS,
    "node": Param(format="pve-node"),
    "job-id": Param(pattern=r"\S+", max_length=50, optional=True),
    "stdout": Param(type="boolean", optional=True),
}


@routes.post(_PATH, everybody, _RUN)
def vzdump(ctx: Context, params: Params) -> str:
    """Starts a task; only the task checks VM.Backup, so the call returns 200 without it."""
    options: Options = dict(params)
    if params.flag("stdout"):
        text = "option is only allowed on the command line interface."
        raise bad_parameters({"stdout": text})
    storage = storage_of(options)
    if ctx.actor != ROOT:
        check_rights(ctx, options)
        if "prune-backups" in options and storage is not None:
            ctx.require(f"/storage/{storage}", ["Datastore.Allocate"])
        if params.flag("stop"):
            ctx.require(f"/nodes/{params.need('node')}", ["Sys.Modify"])
    command = _command(dict(options))
    verify(options, complete=True)
    chosen = selected_guests(ctx, {**options, "node": ctx.node})
    wanted = chosen.get(ctx.node, []) + chosen.get("", [])
    if not wanted and (params.flag("stop") or not truthy(options.get("all"))):
        return "OK"
    if storage is not None:
        ctx.require(f"/storage/{storage}", ["Datastore.AllocateSpace"])

    def work(worker: Worker) -> None:
        run(ctx, worker, options, storage or "local", wanted, command)

    return run_task(ctx, "vzdump", str(wanted[0]) if len(wanted) == 1 else "", work)


def _command(options: Options) -> str:
    """The command line shown in the log."""
    parts = ["vzdump", *split_list(str(options.pop("vmid", "")))]
    for key in sorted(options):
        if key in ("stdout", "job-id"):
            continue
        for value in _texts(key, options[key]):
            parts += [f"--{key}", shlex.quote(value)]
    return " ".join(parts)


def _texts(key: str, value: Any) -> list[str]:
    if isinstance(value, list):
        return [str(element) for element in value]
    text = ",".join(split_list(str(value))) if key == "mailto" else str(value)
    return [text] if text else []
