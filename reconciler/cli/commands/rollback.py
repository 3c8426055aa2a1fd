"""pvectl rollback: undo a run."""

from __future__ import annotations

from pathlib import Path

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.journal_argument import JournalFile
from reconciler.cli.run.plan_options import LockTimeout, Yes
from reconciler.cli.run.recovery import confirm_undo, continue_run, steps_to_undo
from reconciler.cli.run.runner import Way
from reconciler.cli.terminal.output import check_formats, info
from reconciler.errors import (
    ExitStatus,
)
from reconciler.execution.journal import store
from reconciler.execution.journal.journal import read_journal
from reconciler.model.run_state import RunState


@command(app, "rollback", Panel.RECOVERY, 3)
def rollback(
    common: CommonOptions,
    journal: JournalFile = None,
    yes: Yes = False,
    lock_timeout: LockTimeout = None,
) -> ExitStatus:
    """Roll back an interrupted run, and verify that everything is as before; remove what an
    interrupted restore drill created.

    With a completed journal: lists what that run did, asks for confirmation, and undoes it where
    the objects are still as the run left them.
    """
    check_formats(common, "report")
    if journal is not None and journal.is_file() and _is_finished_run(journal):
        listed = steps_to_undo(*store.load(journal))
        if not listed:
            info(common, "no change of this run is left to undo")
            return ExitStatus.OK
        confirm_undo(common, listed, yes=yes)
        yes = True
    return continue_run(common, journal, Way(back=True, chosen=yes), lock_timeout)


def _is_finished_run(journal: Path) -> bool:
    events = read_journal(journal)
    return RunState.of(events).is_finished and "drill" not in events[0].data
