"""pvectl status: show the unfinished run, what the last one left behind, and who holds the lock."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import connect, each_cluster, here, now
from reconciler.cli.drill.recovery import open_drills
from reconciler.cli.terminal.output import check_formats, show
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import (
    ExitStatus,
    RequestRefused,
    Unreachable,
    UsageError,
)
from reconciler.execution.identity import NEW, SAME
from reconciler.execution.journal import store
from reconciler.execution.lock.local import running
from reconciler.execution.lock.record import known_as, lock_records
from reconciler.execution.run.look import take_snapshot, touched_by
from reconciler.execution.run.outcome import report_from_cluster, report_from_journal
from reconciler.live.health import ask_health
from reconciler.model.api import Api
from reconciler.model.health import Health
from reconciler.model.run import ROLLED_BACK, STOPPED, Event, LockRecord, RunReport
from reconciler.model.run_state import OVERTAKEN, ClusterStatus, RunState
from reconciler.render.view import View


def exit_status(found: ClusterStatus, moment: float) -> ExitStatus:
    """The exit status: an unfinished run comes before everything else, unless it is still
    running.
    """
    if found.running:
        return ExitStatus.LOCKED
    if found.report is not None:
        return ExitStatus.UNFINISHED
    if any(not one.running for one in found.drills):
        return ExitStatus.UNFINISHED
    if found.unreachable:
        return ExitStatus.UNREACHABLE
    if found.left is not None:
        return ExitStatus.NOT_RESTORED
    live = any(holder.until > moment for holder in found.holders)
    return ExitStatus.LOCKED if live else ExitStatus.OK


@command(app, "status", Panel.RECOVERY, 1)
def status(
    common: CommonOptions,
    cluster_is: Annotated[
        str,
        typer.Option(
            "--cluster-is",
            metavar="same|new",
            help="For a cluster whose CA has changed: whether it is the same one or a new one.",
            show_default=False,
        ),
    ] = "",
) -> ExitStatus:
    """Show the unfinished run or restore drill, if any, the state of its objects, and who holds the
    lock.

    Read-only. Where the cluster is unreachable, shows what the journal says. Exit 11 when a run is
    unfinished, 6 when one is running or the lock is held, 7 when the cluster is unreachable, 10
    while objects differ from before a run that could not be rolled back completely, else 0.
    """
    check_formats(common, "status")
    if cluster_is not in ("", SAME, NEW):
        raise UsageError(f"--cluster-is takes {SAME} or {NEW}, not '{cluster_is}'")

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        del settings
        with connect(cluster, read_only=True) as api:
            place = here(cluster, api, moved=cluster_is)
            found = _read(api, place.folder)._replace(drills=open_drills(api, place))
        moment = now()
        show(common, "status", found, View(now=moment))
        return exit_status(found, moment)

    return each_cluster(common, one, at_once=True)


def _read(api: Api, folder: Path) -> ClusterStatus:
    """Read from the cluster and the newest journal; from the journal alone where the cluster is
    unreachable.
    """
    live = running(folder)
    path = store.unfinished(folder)
    ended = None if path or live else store.not_restored(folder)
    journal = path or ended
    plan, state = store.load(journal) if journal else (None, RunState())
    steps = plan.steps if plan else ()
    outcome = ROLLED_BACK if ended or state.is_rolling_back else STOPPED
    reached: RunReport | None = None
    there: tuple[LockRecord, ...] = ()
    unreachable = advice = ""
    health: Health | None = None
    try:
        there = tuple(lock_records(api))
        health = ask_health(api)
        if path and not live and not state.is_unbroken(known_as(there)):
            state.add(Event(OVERTAKEN, {}))
        if journal:
            reached = report_from_cluster(
                state, steps, lambda changes: take_snapshot(api, touched_by(changes)).state, outcome
            )
    except (Unreachable, RequestRefused) as error:
        reached = report_from_journal(state, steps, outcome) if journal else None
        there, unreachable, advice = (), error.summary, error.hint
    if ended:
        left = reached if reached and not reached.restored else None
        nothing = RunState()
        return ClusterStatus(
            str(ended), nothing, None, there, live, unreachable, left, health, advice=advice
        )
    if reached and live:  # a secret is on its way, and nothing is to be done about it
        reached = replace(reached, secrets={})
    found = ClusterStatus(str(path or ""), state, reached, there, live, unreachable)
    return found._replace(health=health, advice=advice)
