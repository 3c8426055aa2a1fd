"""pvectl backup: show which guests can be restored, or run a declared job now."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import connect, each_cluster, load_cluster
from reconciler.cli.run.plan_options import Yes
from reconciler.cli.terminal.output import check_formats
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus, UsageError
from reconciler.text.suggest import did_you_mean

RUN, STATUS = "run", "status"
ACTIONS = (RUN, STATUS)


@command(app, "backup", Panel.BACKUP, 1)
def backup(
    common: CommonOptions,
    action: Annotated[
        str, typer.Argument(metavar="run|status", help="What to do.", show_default=False)
    ],
    job: Annotated[
        str, typer.Argument(metavar="JOB", help="A declared backup job.", show_default=False)
    ] = "",
    guest: Annotated[
        list[str] | None,
        typer.Option(
            "--guest", metavar="ID", help="Back up only this guest of the job; repeatable."
        ),
    ] = None,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Then remove older archives by the job's retention."),
    ] = False,
    yes: Yes = False,
) -> ExitStatus:
    """Show whether every guest has a recent backup, or run a declared backup job now.

    `pvectl backup status` reads every storage and shows each guest's newest good archive and
    whether it is as recent as its jobs promise, guests in no job, archives of deleted guests, and
    archives that shrank by more than half. Exit 2 if a backup is stale, missing or cannot be
    checked, 8 if the caller cannot see the archives of some guests.

    `pvectl backup run JOB` runs the job with the options that the caller is authorised to use, on
    every node that has guests of the job, follows the tasks, and lists the new archives. Nothing is
    removed unless --prune is given. Exit 12 if no guest was backed up, 13 if only some were, 4 if a
    privilege is missing, 7 if no node could be reached. Finished archives are kept in any case.
    """
    if action not in ACTIONS:
        raise UsageError(
            f"'{action}' is not an action of `pvectl backup`",
            hint=did_you_mean(action, ACTIONS) or "pvectl backup status, or pvectl backup run JOB",
        )
    if action == STATUS:
        return _status(common, given=bool(job or guest or prune))
    if not job:
        raise UsageError("which backup job?", hint="pvectl backup run JOB")
    check_formats(common, "backup_run")
    from reconciler.cli.backup.run import check_guests, run_backup

    guests = check_guests(guest or ())

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        loaded = load_cluster(cluster, settings)
        with connect(cluster, read_only=False) as api:
            return run_backup(common, loaded, api, job, guests=guests, prune=prune, yes=yes)

    return each_cluster(common, one)


def _status(common: CommonOptions, *, given: bool) -> ExitStatus:
    if given:
        raise UsageError(
            "`backup status` takes no job: it covers all guests", hint="pvectl backup status"
        )
    check_formats(common, "backup_status")
    from reconciler.cli.backup.recoverability import backup_status

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        loaded = load_cluster(cluster, settings)
        with connect(cluster, read_only=True) as api:
            return backup_status(common, loaded, api)

    return each_cluster(common, one)
