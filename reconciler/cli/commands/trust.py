"""pvectl trust: confirm, once per machine, where a secret may be sent."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import each_cluster
from reconciler.cli.terminal.output import info, result
from reconciler.cli.trusted_targets import ask, confirm, is_known, lines
from reconciler.desired.loader import require_valid
from reconciler.desired.settings.destination import destination, proposed
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus, Refused, UsageError
from reconciler.execution import known_targets
from reconciler.execution.journal.store import home


@command(app, "trust", Panel.OTHER, 1)
def trust(
    common: CommonOptions,
    yes: Annotated[bool, typer.Option("--yes", help="Skip the confirmation.")] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="Remove the confirmation of this target.")
    ] = False,
    list_: Annotated[
        bool, typer.Option("--list", help="List the targets confirmed on this machine.")
    ] = False,
) -> ExitStatus:
    """Confirm where pvectl.toml sends the token's secret: endpoint, certificate, proxy, and source
    of the secret.

    State files may be an unreviewed proposal, so they alone cannot decide where a secret goes. The
    confirmation is remembered on this machine; a different endpoint, certificate, proxy or source
    has to be confirmed again. No network access.
    """
    if list_:
        for confirmed in known_targets.known(home()):
            result("\n".join(line.strip() for line in lines(confirmed)) + "\n")
        return ExitStatus.OK

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        require_valid(settings.findings)
        target = cluster.connection()
        if forget:
            gone = known_targets.forget(home(), target.endpoints)
            info(common, "forgotten" if gone else "nothing was confirmed for this target")
        elif target.sandbox_folder is not None:
            info(common, "a sandbox gets no secret; nothing to confirm")
        elif not proposed(cluster):
            info(common, "nothing to confirm: the target is not named by the state files")
        elif is_known(cluster, destination(cluster)):
            info(common, "confirmed already")
        else:
            _confirm(common, cluster, yes=yes)
        return ExitStatus.OK

    return each_cluster(common, one)


def _confirm(common: CommonOptions, cluster: ClusterSettings, *, yes: bool) -> None:
    wanted = destination(cluster)
    if yes:
        for line in lines(wanted):
            info(common, line)
    elif not sys.stdin.isatty():
        raise UsageError(
            "cannot prompt: stdin is not a terminal",
            hint="if this is right, pass --yes: "
            + "; ".join(" ".join(line.split()) for line in lines(wanted)),
        )
    elif not ask(wanted):
        raise Refused("not confirmed", hint="nothing was stored")
    confirm(cluster, wanted)
    info(common, f"confirmed; stored in {home() / known_targets.FILE}")
