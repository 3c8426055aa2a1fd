"""pvectl resume: finish an interrupted run."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.journal_argument import JournalFile
from reconciler.cli.run.plan_options import LockTimeout
from reconciler.cli.run.recovery import continue_run
from reconciler.cli.run.runner import Way
from reconciler.errors import (
    ExitStatus,
    UsageError,
)


@command(app, "resume", Panel.RECOVERY, 2)
def resume(
    common: CommonOptions,
    journal: JournalFile = None,
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Continue even if another run may have written since."),
    ] = False,
    abandon: Annotated[
        bool,
        typer.Option("--abandon", help="Close the run and leave the cluster as it is."),
    ] = False,
    lock_timeout: LockTimeout = None,
) -> ExitStatus:
    """Finish an interrupted run in the direction it was going (apply or roll back), or an
    interrupted restore drill.

    What was already applied is read from the cluster; nothing is sent twice. Where another run may
    have written since, this run is closed if everything is as it declared; otherwise exit 11 shows
    what differs and what can be done.
    """
    if yes and abandon:
        raise UsageError("--abandon closes the run, --yes continues it", hint="pass one of them")
    return continue_run(common, journal, Way(chosen=yes, abandon=abandon), lock_timeout)
