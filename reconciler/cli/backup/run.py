"""Run a declared backup job now: `pvectl backup run JOB`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import Loaded
from reconciler.cli.run.runner import SystemClock
from reconciler.cli.terminal.output import info, show_if_possible
from reconciler.cli.terminal.prompt import confirm
from reconciler.errors import Blind, ExitStatus, UsageError
from reconciler.execution.backups.run import run_job
from reconciler.kinds.backup.run import BackupRun, backup_runs, storage_of
from reconciler.kinds.backup.table import BackupSpec
from reconciler.kinds.shared.reader import RESOURCES
from reconciler.live.reader import facts_of
from reconciler.model.address import Address
from reconciler.model.api import Api
from reconciler.model.backups import BackupReport
from reconciler.model.inventory import Facts
from reconciler.model.request import request
from reconciler.text.humanize import count, listed
from reconciler.text.suggest import did_you_mean

_MOST = 8
"""How many guests the question names."""


def run_backup(
    common: CommonOptions,
    loaded: Loaded,
    api: Api,
    job: str,
    *,
    guests: Sequence[int],
    prune: bool,
    yes: bool,
) -> ExitStatus:
    """Confirm, run the job on every node, follow the tasks, and report what was saved."""
    job = job.removeprefix("backup.")
    spec = declared_job(loaded, job)
    storage = storage_of(spec)
    resources, on_root, on_storage = api.get(
        [
            RESOURCES,
            request("GET", "access", "permissions", path="/"),
            request("GET", "access", "permissions", path=f"/storage/{storage}"),
        ]
    )
    facts = facts_of({}, resources)
    runs = backup_runs(spec, facts, _held(on_root), _held(on_storage), prune=prune)
    runs = _only(runs, guests, job) if guests else runs
    if not runs:
        raise Blind(
            f"backup job {job} has no guest that {api.actor} can see",
            hint="grant it VM.Audit on the guests, or check the job's guests and node",
        )
    for option, privilege in sorted(runs[0].left_out.items()):
        info(common, f"{option} is omitted: {api.actor} lacks {privilege}")
    _say(common, job, storage, runs, facts, prune=prune)
    confirm("Run it now?", yes=yes)
    report = run_job(api, job, storage, runs, SystemClock(), lambda line: info(common, line))
    show_if_possible(common, "backup_run", report)
    return status_of(report)


def declared_job(loaded: Loaded, job: str) -> BackupSpec:
    """The declared job of that id; raises UsageError where the state files declare none."""
    job = job.removeprefix("backup.")
    declared = loaded.desired.objects.get(Address("backup", job))
    if declared is None or not isinstance(declared.spec, BackupSpec):
        jobs = sorted(a.id for a in loaded.desired.objects if a.kind == "backup")
        raise UsageError(
            f"no backup job '{job}' is declared",
            hint=did_you_mean(job, jobs) or f"declared jobs: {', '.join(jobs) or 'none'}",
        )
    return declared.spec


def status_of(report: BackupReport) -> ExitStatus:
    """The exit status of a run; archives that were made count even when something else failed."""
    if report.saved:
        whole = report.saved == len(report.guests)
        return ExitStatus.OK if whole else ExitStatus.PARTLY_SAVED
    if all(node.denied for node in report.nodes):
        return ExitStatus.REFUSED
    if all(node.trouble and not node.ended for node in report.nodes):
        return ExitStatus.UNREACHABLE
    return ExitStatus.NOT_SAVED


def _held(answer: Mapping[str, Mapping[str, Any]]) -> frozenset[str]:
    return frozenset(privilege for privileges in answer.values() for privilege in privileges)


def _only(runs: Sequence[BackupRun], guests: Sequence[int], job: str) -> list[BackupRun]:
    known = sorted({guest for run in runs for guest in run.guests})
    strange = [guest for guest in guests if guest not in known]
    if strange:
        raise UsageError(
            f"backup job {job} does not include {', '.join(map(str, strange))}",
            hint=f"it includes {listed([str(guest) for guest in known], _MOST) or 'nothing'}",
        )
    kept = []
    for run in runs:
        chosen = tuple(guest for guest in run.guests if guest in guests)
        if chosen:
            params = (("vmid", ",".join(map(str, chosen))), *run.request.params[1:])
            kept.append(run._replace(guests=chosen, request=run.request._replace(params=params)))
    return kept


def _say(
    common: CommonOptions,
    job: str,
    storage: str,
    runs: Sequence[BackupRun],
    facts: Facts,
    *,
    prune: bool,
) -> None:
    number = sum(len(run.guests) for run in runs)
    info(common, f"Backup job {job} will back up {count(number, 'guest')} to storage {storage}:")
    for run in runs:
        named = [_name(guest, facts) for guest in run.guests]
        info(common, f"  {run.node}: {listed(named, _MOST)}")
    kept = "older archives are then pruned" if prune else "no archives are removed"
    info(common, f"  {kept}")


def _name(guest: int, facts: Facts) -> str:
    known = facts.guests.get(guest)
    return f"{guest} ({known.name})" if known and known.name else str(guest)


def check_guests(given: Sequence[str]) -> list[int]:
    """The ids of `--guest`; raises UsageError with every mistake."""
    wrong = [text for text in given if not (text.isdigit() and int(text) >= 100)]
    if wrong:
        raise UsageError(
            f"--guest takes the id of a guest, a number from 100, not {', '.join(wrong)}",
            hint="--guest 100 --guest 101 names two",
        )
    return [int(text) for text in dict.fromkeys(given)]
