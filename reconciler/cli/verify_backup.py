"""A declared backup job run at once, for `pvectl verify backup JOB`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.access.explain.explain import parse_refusal
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import Loaded
from reconciler.cli.output import info, result
from reconciler.cli.runner import SystemClock
from reconciler.errors import ExitStatus, Refused, RequestRefused, UsageError
from reconciler.execution.tasks import follow_task, start_task
from reconciler.kinds.backup.run import BackupRun, backup_runs, storage_of
from reconciler.kinds.backup.table import BackupSpec
from reconciler.kinds.shared.reader import RESOURCES
from reconciler.live.reader import facts_of
from reconciler.model.address import Address
from reconciler.model.api import Api
from reconciler.model.request import request
from reconciler.text.shell import shell
from reconciler.text.suggest import did_you_mean


def verify_backup(common: CommonOptions, loaded: Loaded, api: Api, job: str) -> ExitStatus:
    """Run the job now, follow its tasks, judge by their exit status, list the archives made."""
    spec = _job(loaded, job)
    storage = storage_of(spec)
    resources, on_root, on_storage = api.get(
        [
            RESOURCES,
            request("GET", "access", "permissions", path="/"),
            request("GET", "access", "permissions", path=f"/storage/{storage}"),
        ]
    )
    facts = facts_of({}, resources)
    runs = backup_runs(spec, facts, _held(on_root), _held(on_storage))
    if not runs:
        raise Refused(
            f"backup job {job} would save nothing that {api.actor} can see",
            hint="grant it VM.Audit on the guests, or check the job's guests and node",
        )
    try:
        return max(_run(common, api, job, storage, run) for run in runs)
    except RequestRefused as refusal:
        raise _refused(api.actor, job, refusal.summary, refusal.hint) from None


def _job(loaded: Loaded, job: str) -> BackupSpec:
    declared = loaded.desired.objects.get(Address("backup", job))
    if declared is None or not isinstance(declared.spec, BackupSpec):
        jobs = sorted(a.id for a in loaded.desired.objects if a.kind == "backup")
        raise UsageError(
            f"no backup job '{job}' is declared",
            hint=did_you_mean(job, jobs) or f"declared are: {', '.join(jobs) or 'none'}",
        )
    return declared.spec


def _held(answer: Mapping[str, Mapping[str, Any]]) -> frozenset[str]:
    return frozenset(privilege for privileges in answer.values() for privilege in privileges)


def _run(common: CommonOptions, api: Api, job: str, storage: str, run: BackupRun) -> ExitStatus:
    for option, privilege in sorted(run.left_out.items()):
        info(common, f"{option} is left out: {api.actor} lacks {privilege} for it")
    before = _archives(api, run.node, storage)
    upid = start_task(api, run.request)
    info(common, f"started on {run.node}: {upid}")
    end = follow_task(api, run.node, upid, SystemClock(), lambda line: info(common, f"  {line}"))
    if not end.good:
        raise _refused(api.actor, job, end.exit_status, f"the task's log: {end.upid}")
    made = [row for row in _archives(api, run.node, storage) if row not in before]
    result(f"backup job {job} on {run.node}: {end.exit_status}")
    for name in made:
        result(f"  {name}")
    return ExitStatus.OK


def _archives(api: Api, node: str, storage: str) -> list[str]:
    asked = request("GET", "nodes", node, "storage", storage, "content", content="backup")
    return sorted(str(row["volid"]) for row in api.get([asked])[0])


def _refused(actor: str, job: str, why: str, hint: str) -> Refused:
    """What Proxmox VE said against it, by the privilege that is missing where it names one."""
    denied = parse_refusal(why)
    if denied is None or not denied.path:
        return Refused(f"backup job {job} failed: {why}", hint=hint)
    lacking = " or ".join(denied.privileges)
    return Refused(
        f"backup job {job} was refused: {actor} lacks {lacking} on {denied.path}",
        hint=shell("pvectl", "explain", actor, denied.path, denied.privileges[0]),
    )
