"""pvectl status: the unfinished run, and who holds the lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from reconciler.cli.app import app
from reconciler.cli.command import CommonOptions, Panel, command
from reconciler.cli.context import connect, each_cluster, here, now
from reconciler.cli.output import check_formats, show
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
from reconciler.execution.journal.journal import Event, read_journal
from reconciler.execution.journal.replay import (
    OVERTAKEN,
    going_back,
    is_unbroken,
)
from reconciler.execution.lock.local import running
from reconciler.execution.lock.record import LockRecord, known_as, lock_records
from reconciler.execution.run.context import take_snapshot
from reconciler.execution.run.outcome import (
    ROLLED_BACK,
    STOPPED,
    RunReport,
    report_from_cluster,
    report_from_journal,
)
from reconciler.model.api import Api
from reconciler.render.view import View


class Standing(NamedTuple):
    """What `status` shows; `journal` is empty where no run is unfinished."""

    journal: str
    events: Sequence[Event]
    report: RunReport | None
    holders: Sequence[LockRecord]
    running: str = ""
    unasked: str = ""

    def exit_status(self, moment: float) -> ExitStatus:
        """An unfinished run before everything else, unless it is under way."""
        if self.running:
            return ExitStatus.LOCKED
        if self.report is not None:
            return ExitStatus.UNFINISHED
        if self.unasked:
            return ExitStatus.UNREACHABLE
        live = any(holder.until > moment for holder in self.holders)
        return ExitStatus.LOCKED if live else ExitStatus.OK


@command(app, "status", Panel.RECOVERY, 1)
def status(
    common: CommonOptions,
    cluster_is: Annotated[
        str,
        typer.Option(
            "--cluster-is",
            metavar="same|new",
            help="What a cluster is that shows another CA than before.",
            show_default=False,
        ),
    ] = "",
) -> ExitStatus:
    """Show the unfinished run, if there is one, what became of each object, and who holds the lock.

    Reads only. A cluster that cannot be reached is no hindrance: then it is what the journal says.
    Exit 11 when a run is unfinished, 6 when one is under way or somebody holds the lock, 7 when
    that cannot be asked, else 0.
    """
    check_formats(common, "standing")
    if cluster_is not in ("", SAME, NEW):
        raise UsageError(f"--cluster-is takes {SAME} or {NEW}, not '{cluster_is}'")

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        del settings
        with connect(cluster, read_only=True) as api:
            standing = _standing(api, here(cluster, api, moved=cluster_is).folder)
        moment = now()
        show(common, "standing", standing, View(now=moment))
        return standing.exit_status(moment)

    return each_cluster(common, one)


def _standing(api: Api, folder: Path) -> Standing:
    """Read from the cluster and the newest journal; where nobody answers, from the journal."""
    live = running(folder)
    path = store.unfinished(folder)
    events = read_journal(path) if path else []
    steps = store.plan_of(events, path).steps if path else ()
    outcome = ROLLED_BACK if going_back(events) else STOPPED
    reached: RunReport | None = None
    try:
        there = lock_records(api)
        if path:
            if not live and not is_unbroken(events, known_as(there)):
                events = [*events, Event(OVERTAKEN, {})]
            reached = report_from_cluster(
                events, steps, lambda changes: take_snapshot(api, changes).state, outcome
            )
            if live:  # a secret is on its way, and nothing is to be done about it
                reached = replace(reached, secrets={})
    except (Unreachable, RequestRefused) as error:
        reached = report_from_journal(events, steps, outcome) if path else None
        return Standing(str(path or ""), events, reached, (), live, error.summary)
    return Standing(str(path or ""), events, reached, there, live)
