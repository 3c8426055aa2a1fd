"""pvectl rollback: undo a run."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import CommonOptions, Panel, command
from reconciler.cli.output import check_formats, info
from reconciler.cli.recovery import JournalFile, confirm_undo, continue_run, steps_to_undo
from reconciler.cli.runner import Way
from reconciler.errors import (
    ExitStatus,
)
from reconciler.execution.journal.journal import is_finished, read_journal


@command(app, "rollback", Panel.RECOVERY, 3)
def rollback(
    common: CommonOptions,
    journal: JournalFile = None,
    yes: Annotated[
        bool, typer.Option("--yes", envvar="PVECTL_YES", help="Do not ask; for CI.")
    ] = False,
) -> ExitStatus:
    """Take an interrupted run back, and verify that everything is as before.

    With a finished journal: lists what that run did and asks, then takes it back, where the objects
    are still as it left them.
    """
    check_formats(common, "report")
    if journal is not None and journal.is_file() and is_finished(read_journal(journal)):
        listed = steps_to_undo(journal)
        if not listed:
            info(common, "nothing of this run is in force; nothing to do")
            return ExitStatus.OK
        confirm_undo(common, listed, yes=yes)
        yes = True
    return continue_run(common, journal, Way(back=True, chosen=yes))
