"""pvectl verify: what the state files promise, asked of the live cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import each_cluster, load_cluster
from reconciler.cli.output import check_formats
from reconciler.cli.verify_expectations import PROBE_SECRET, verify_expectations
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
            help=f"Try this token as well, with the secret in {PROBE_SECRET}.",
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

    The cluster itself is asked what each principal has on each path, and that is compared with the
    expectation and with what pvectl computes. Tokens whose secret is known, by `secret_to` or
    --as, also connect, ask for themselves and make the calls of [[expect]]. What writes is sent
    only if the cluster will refuse it, or with `harmless = true`, which is told before. Exit 4
    when something is otherwise.
    """
    check_formats(common, "verification")

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        loaded = load_cluster(cluster, settings)
        return verify_expectations(common, loaded, probe_as, probing=probing)

    return each_cluster(common, one)
