"""pvectl resume: finish an interrupted run."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.recovery import JournalFile, continue_run
from reconciler.cli.runner import Way
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
        typer.Option("--yes", help="Continue although another run may have written since."),
    ] = False,
    abandon: Annotated[
        bool,
        typer.Option("--abandon", help="Close the run; the cluster stays as it is."),
    ] = False,
) -> ExitStatus:
    """Finish an interrupted run, forward or back, whichever way it was going, or an interrupted
    restore drill.

    What was applied already is read from the cluster; nothing is sent twice. Where another run may
    have written since, this one is closed if everything is as it declared; else exit 11 says what
    differs, and what can be done.
    """
    if yes and abandon:
        raise UsageError("--abandon closes the run, --yes goes on with it", hint="give one of them")
    return continue_run(common, journal, Way(chosen=yes, abandon=abandon))
