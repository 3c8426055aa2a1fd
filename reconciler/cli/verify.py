"""pvectl verify: what the state files promise, asked of the live cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.backup import verify_backup
from reconciler.cli.common import Common, command
from reconciler.cli.session import connect, each_cluster, load_cluster
from reconciler.desired.settings import Settings
from reconciler.desired.target import Cluster
from reconciler.errors import ExitStatus, UsageError


@command(app, "verify")
def verify(
    common: Common,
    what: Annotated[
        str, typer.Argument(metavar="[backup]", help="What to verify.", show_default=False)
    ] = "",
    job: Annotated[
        str, typer.Argument(metavar="[JOB]", help="A declared backup job.", show_default=False)
    ] = "",
) -> ExitStatus:
    """Run a declared backup job now, and judge it by the exit status of its task.

    `pvectl verify backup JOB` sends the job's options as far as the caller's rights cover them,
    follows the task, and lists the archive that was made. Exit 4 when the task is refused or fails.
    """

    def one(cluster: Cluster, settings: Settings) -> ExitStatus:
        if what != "backup" or not job:
            raise UsageError(f"'{what}' cannot be verified", hint="pvectl verify backup JOB")
        loaded = load_cluster(cluster, settings)
        with connect(cluster, read_only=False) as api:
            return verify_backup(common, loaded, api, job)

    return each_cluster(common, one)
