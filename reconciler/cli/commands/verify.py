"""pvectl verify: what the state files promise, asked of the live cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import connect, each_cluster, load_cluster
from reconciler.cli.output import check_formats
from reconciler.cli.verify_backup import verify_backup
from reconciler.cli.verify_expectations import PROBE_SECRET, verify_expectations
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus, UsageError


@command(app, "verify", Panel.ACCESS, 4)
def verify(
    common: CommonOptions,
    what: Annotated[
        str, typer.Argument(metavar="backup", help="What to verify.", show_default=False)
    ] = "",
    job: Annotated[
        str, typer.Argument(metavar="JOB", help="A declared backup job.", show_default=False)
    ] = "",
    probe_as: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="TOKEN",
            help=f"Try this token as well, with the secret in {PROBE_SECRET}.",
        ),
    ] = "",
    probing: Annotated[
        bool, typer.Option("--probe/--no-probe", help="Try tokens whose secret can be read here.")
    ] = True,
) -> ExitStatus:
    """Check every expectation of the state files against the live cluster.

    The cluster itself is asked what each principal has on each path, and that is compared with the
    expectation and with what pvectl computes. Tokens whose secret is known, by `secret_to` or
    --as, also connect and ask for themselves. Exit 4 when something is otherwise.

    `pvectl verify backup JOB` runs a declared backup job now: it sends the job's options as far as
    the caller's rights cover them, follows the task, and lists the archive that was made. Exit 4
    when the task is refused or fails.
    """
    if what and (what != "backup" or not job):
        raise UsageError(
            f"'{what}' cannot be verified", hint="pvectl verify, or pvectl verify backup JOB"
        )
    if not what:
        check_formats(common, "verification")

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        loaded = load_cluster(cluster, settings)
        if not what:
            return verify_expectations(common, loaded, probe_as, probing=probing)
        with connect(cluster, read_only=False) as api:
            return verify_backup(common, loaded, api, job)

    return each_cluster(common, one)
