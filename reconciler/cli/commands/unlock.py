"""pvectl unlock: remove the lock of a dead run."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import connect, each_cluster
from reconciler.cli.terminal.output import info
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import (
    ExitStatus,
)
from reconciler.execution.lock.record import unlock as remove_lock


@command(app, "unlock", Panel.RECOVERY, 4)
def unlock(
    common: CommonOptions,
    fence: Annotated[
        int,
        typer.Option(
            "--fence", metavar="N", help="The fence number of the lock, from `pvectl status`."
        ),
    ],
) -> ExitStatus:
    """Remove the lock of a run that is certainly dead."""

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        del settings
        with connect(cluster, read_only=False) as api:
            holder = remove_lock(api, fence)
        info(common, f"removed the lock of {holder.owner}")
        return ExitStatus.OK

    return each_cluster(common, one)
