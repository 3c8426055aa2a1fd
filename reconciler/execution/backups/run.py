"""Run a backup job now on all its nodes, and judge each guest by the archives on the storage."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from reconciler.access.explain.explain import parse_refusal
from reconciler.errors import RequestRefused, UnknownOutcome, Unreachable
from reconciler.execution.backups.archives import archives_on
from reconciler.execution.run.look import Clock
from reconciler.execution.tasks import TaskEnd, follow_task, start_task
from reconciler.kinds.backup.run import BackupRun
from reconciler.model.api import Api
from reconciler.model.backups import Archive, BackupReport, NodeRun, SavedGuest
from reconciler.text.shell import shell

Tell = Callable[[str], None]

_FAILED = re.compile(r"ERROR: Backup of VM (?P<guest>\d+) failed - (?P<why>.*)")
_ARCHIVE = re.compile(r"creating .*archive '(?:.*/dump/)?(?P<name>[^']+)'")
_PREFIX = "ERROR: "


def run_job(
    api: Api, job: str, storage: str, runs: Sequence[BackupRun], clock: Clock, tell: Tell
) -> BackupReport:
    """Start the task of every node, follow them all, and list the archives they made.

    A node that refuses or is unreachable does not stop the others.
    """
    started = [(run, *_begin(api, run, tell)) for run in runs]
    nodes = [
        node if node is not None else _follow(api, storage, run, upid, clock, tell)
        for run, node, upid in started
    ]
    left_out = dict(pair for run in runs for pair in run.left_out.items())
    return BackupReport(job, storage, tuple(nodes), tuple(sorted(left_out.items())))


def _begin(api: Api, run: BackupRun, tell: Tell) -> tuple[NodeRun | None, str]:
    """Start the task of a node; returns its result if that failed, else the id of the task."""
    try:
        upid = start_task(api, run.request)
    except RequestRefused as refused:
        return _refused(api.actor, run, refused.reason, denied=refused.forbidden), ""
    except UnknownOutcome as lost:
        doubt = "whether the backup started is unknown"
        trouble = f"{run.node} could not be reached; {doubt}: {lost.summary}"
        hint = f"check the tasks of {run.node} before you run it again"
        return _without(run, trouble, hint, in_doubt=True), ""
    except Unreachable as away:
        trouble = f"{run.node} could not be reached, so nothing was started there: {away.summary}"
        return _without(run, trouble, away.hint), ""
    if not upid.startswith("UPID:"):
        trouble = f"{run.node} had no guest to back up"
        return _without(run, trouble, "the guests may have moved to another node"), ""
    tell(f"{run.node}: started {upid}")
    return None, upid


def _without(
    run: BackupRun, trouble: str, hint: str = "", *, in_doubt: bool = False, denied: bool = False
) -> NodeRun:
    guests = tuple(SavedGuest(guest, run.node, failure=trouble) for guest in run.guests)
    return NodeRun(run.node, guests, trouble=trouble, in_doubt=in_doubt, denied=denied, hint=hint)


def _refused(actor: str, run: BackupRun, reason: str, *, denied: bool) -> NodeRun:
    words, hint = denial(actor, reason)
    return _without(run, words or f"refused: {reason}", hint, denied=denied)


def denial(actor: str, reason: str) -> tuple[str, str]:
    """What the caller lacks, and what explains it; empty when the reason is another one."""
    refusal = parse_refusal(reason)
    if refusal is None or not refusal.path or not refusal.privileges:
        return "", ""
    path, names = refusal.path, refusal.privileges
    return (
        f"refused: {actor} lacks {' or '.join(names)} on {path}",
        shell("pvectl", "explain", actor, path, names[0]),
    )


def _follow(
    api: Api,
    storage: str,
    run: BackupRun,
    upid: str,
    clock: Clock,
    tell: Tell,
) -> NodeRun:
    try:
        end = follow_task(api, run.node, upid, clock, lambda line: tell(f"{run.node}: {line}"))
        there = archives_on(api, run.node, storage)
    except (Unreachable, RequestRefused) as lost:
        trouble = f"{run.node} stopped answering; its task may still be running: {lost.summary}"
        guests = tuple(SavedGuest(guest, run.node, failure=trouble) for guest in run.guests)
        hint = f"`pvectl backup status`, once {run.node} answers again"
        return NodeRun(run.node, guests, upid, trouble=trouble, in_doubt=True, hint=hint)
    why = "" if end.good else end.exit_status
    words, hint = denial(api.actor, why)
    guests = tuple(_saved(api.actor, guest, run.node, end, there) for guest in run.guests)
    return NodeRun(
        run.node, guests, upid, end.exit_status, trouble=words or why, denied=bool(words), hint=hint
    )


def _saved(actor: str, guest: int, node: str, end: TaskEnd, there: Sequence[Archive]) -> SavedGuest:
    """The archives made. The log names those that were started; one that exists and did not fail is
    complete.
    """
    reasons = {int(m["guest"]): m["why"] for line in end.log if (m := _FAILED.match(line))}
    started = {m["name"] for line in end.log if (m := _ARCHIVE.search(line))}
    mine = (one for one in there if one.guest == guest and _name(one.volume) in started)
    archive = next(mine, None)
    if archive is not None and guest not in reasons:
        return SavedGuest(guest, node, archive)
    last = next((line for line in reversed(end.log) if line.startswith(_PREFIX)), "")
    why = reasons.get(guest) or ("" if end.good else end.exit_status) or last.removeprefix(_PREFIX)
    words, _ = denial(actor, why)
    return SavedGuest(guest, node, None, words or why or "the task made no archive of it")


def _name(volume: str) -> str:
    """The file name of an archive, or its name on a backup server."""
    return volume.partition("backup/")[2]
