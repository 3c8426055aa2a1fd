"""pvectl verify: check the expectations of the state files against the live cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import each_cluster, load_cluster
from reconciler.cli.terminal.output import check_formats
from reconciler.cli.verify.expectations import PROBE_SECRET, verify_expectations
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus


@command(app, "verify", Panel.ACCESS, 4)
def verify(
    common: CommonOptions,
    probe_as: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="TOKEN",
            help=f"Also try this token, with the secret in {PROBE_SECRET}.",
        ),
    ] = "",
    probing: Annotated[
        bool,
        typer.Option(
            "--probe/--no-probe", help="Try tokens whose secret can be read here, and make calls."
        ),
    ] = True,
) -> ExitStatus:
    """Check every expectation of the state files against the live cluster.

    Asks the cluster what each principal may do on each path, and compares the answer with the
    expectation and with pvectl's own evaluation. Tokens whose secret is available, through
    `secret_to` or --as, also connect, ask for themselves and make the calls of [[expect]]. A
    writing call is sent only if the cluster will refuse it, or with `harmless = true`, after a
    notice. Exit 4 when anything differs.
    """
    check_formats(common, "verification")

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        loaded = load_cluster(cluster, settings)
        return verify_expectations(common, loaded, probe_as, probing=probing)

    return each_cluster(common, one, at_once=True)
