"""pvectl drill: restore backups under spare ids, check that they work, remove them again."""

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


@command(app, "drill", Panel.BACKUP, 2)
def drill(
    common: CommonOptions,
    job: Annotated[
        str,
        typer.Argument(
            metavar="JOB", help="Only guests of this declared backup job.", show_default=False
        ),
    ] = "",
    guest: Annotated[
        list[str] | None,
        typer.Option("--guest", metavar="ID", help="Only this guest; repeatable."),
    ] = None,
    archive: Annotated[
        str,
        typer.Option(
            "--archive", metavar="VOLUME", help="Restore this archive.", show_default=False
        ),
    ] = "",
    oldest: Annotated[
        bool, typer.Option("--oldest", help="Restore the oldest archive instead of the newest.")
    ] = False,
    sample: Annotated[
        int,
        typer.Option(
            "--sample",
            metavar="N",
            help="How many guests; default: [drill] sample.",
            show_default=False,
        ),
    ] = 0,
    yes: Yes = False,
) -> ExitStatus:
    """Restore backups under spare ids, check that they work, and remove them again.

    Without arguments, or with a JOB, picks the guests that have gone longest without a drill. Each
    archive is restored under a free id of [drill] ids, with a new MAC address and by default
    without network; its configuration is compared; then the guest is started, checked as configured
    in [drill], timed, stopped and destroyed. No other guest is touched. Each step is recorded
    before it is sent: after a crash `pvectl status` names what is left, `resume` continues,
    `rollback` removes it.

    Exit 0 if every archive passed; 15 if one failed, and everything was removed again; 10 if
    something could not be removed; 4 if a privilege, disk space or memory is missing, 8 if no
    archive is visible, 11 if an earlier drill is unfinished.
    """
    if sum(map(bool, (job, guest, archive))) > 1:
        raise UsageError("JOB, --guest and --archive cannot be combined", hint="pass one of them")
    if archive and oldest:
        raise UsageError("--archive and --oldest cannot be combined", hint="pass one of them")
    if sample < 0:
        raise UsageError(
            "--sample must be at least 1", hint="omit it, or pass for example --sample 3"
        )
    check_formats(common, "drill")
    from reconciler.cli.backup.run import check_guests
    from reconciler.cli.drill.choice import Wanted
    from reconciler.cli.drill.run import run_drills

    wanted = Wanted(job, tuple(check_guests(guest or ())), oldest, archive, sample)

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        loaded = load_cluster(cluster, settings)
        with connect(cluster, read_only=False) as api:
            return run_drills(common, loaded, api, wanted, yes=yes)

    return each_cluster(common, one)
