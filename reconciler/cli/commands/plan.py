"""pvectl plan: show what apply would do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.run.plan_options import Allow, SendSecrets, Since, Targets
from reconciler.errors import ExitStatus


@command(app, "plan", Panel.PLAN, 1)
def plan(
    common: CommonOptions,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Save the plan for `apply FILE`.")
    ] = None,
    sign: Annotated[
        Path | None,
        typer.Option("--sign", metavar="KEY", help="Sign the saved plan with an SSH key."),
    ] = None,
    target: Targets = None,
    allow: Allow = None,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            metavar="DIR",
            help="Compare with another state folder instead of the cluster.",
        ),
    ] = None,
    since: Since = None,
    *,
    send_secrets: SendSecrets = False,
    known: Annotated[
        bool, typer.Option("--known", help="Also show known findings in full.")
    ] = False,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit 2 when there are changes.")
    ] = False,
) -> ExitStatus:
    """Show what `apply` would do, why, and who gains or loses which privilege.

    `--format html=FILE` is one page with the access before and after, as table and as picture.

    Sends GET requests only. Exit 0; 2 with --detailed-exitcode when there are changes; 4 when a
    policy forbids the plan (it is still shown); 14 when a secret that it sends is missing on this
    machine or would be refused by Proxmox VE (with --out, a missing one is not an error).
    """
    from reconciler.cli.run.previewing import PlanOptions, preview

    asked = PlanOptions(
        out, sign, target, allow, against, since, send_secrets, known, detailed_exitcode
    )
    return preview(common, asked)
