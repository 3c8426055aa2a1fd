"""pvectl apply: bring the cluster to the declared state; roll back when a step fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions, means_several
from reconciler.cli.context import connect, each_cluster
from reconciler.cli.fleet.rollout import WaveOptions
from reconciler.cli.run.plan_options import Allow, LockTimeout, SendSecrets, Since, Targets, Yes
from reconciler.cli.run.plan_signers import signed_by, signers
from reconciler.cli.terminal.output import check_formats
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus, UsageError

if TYPE_CHECKING:
    from reconciler.execution.plan_file import SavedPlan


@command(app, "apply", Panel.PLAN, 2)
def apply(
    common: CommonOptions,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A plan saved by `plan --out`.", show_default=False),
    ] = None,
    *,
    yes: Yes = False,
    approve: Annotated[
        str | None,
        typer.Option("--approve", metavar="DIGEST", help="Apply only a plan with this digest."),
    ] = None,
    target: Targets = None,
    allow: Allow = None,
    since: Since = None,
    send_secrets: SendSecrets = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Refuse a saved plan that was made from other state files."),
    ] = False,
    allowed_signers: Annotated[
        Path | None,
        typer.Option(
            "--allowed-signers",
            envvar="PVECTL_ALLOWED_SIGNERS",
            metavar="FILE",
            help="Apply only a plan signed by one of these SSH keys.",
        ),
    ] = None,
    go_on: Annotated[
        bool,
        typer.Option(
            "--continue", help="Start the next wave of [rollout] even if the previous one failed."
        ),
    ] = False,
    lock_timeout: LockTimeout = None,
) -> ExitStatus:
    """Bring the cluster to the declared state.

    Shows the plan, asks for confirmation, then sends it step by step; each step is recorded in a
    journal before and after. A saved plan has been reviewed, so it is applied without confirmation
    unless the files, the policy or the cluster have changed in a way that forbids it. When a step
    fails, everything is rolled back and verified. Exit 0 when done; 9 when it failed and everything
    is restored; 10 when manual intervention is needed.
    """
    common = replace(common, lock_timeout=lock_timeout or 0)
    check_formats(common, "plan", "report")
    if file is not None and (target or allow or since or send_secrets):
        raise UsageError(
            "a saved plan is applied unchanged",
            hint="pass --target, --allow, --since and --send-secrets to `plan`",
        )
    if file is None and strict:
        raise UsageError(
            "--strict needs a saved plan", hint="name the plan's file, or drop --strict"
        )

    saved = _saved(file)
    if saved is not None and means_several(common.on):
        raise UsageError("a saved plan is for one cluster", hint="choose it with --on NAME")

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        signer = signed_by(saved, allowed_signers or signers(common, settings), settings.folder)
        with connect(cluster, read_only=False, plans=True) as api:
            from reconciler.cli.run.applying import ApplyOptions, apply_new, apply_saved

            if saved is not None:
                return apply_saved(
                    common, cluster, settings, api, saved, approve, signer, strict=strict
                )
            asked = ApplyOptions(target, allow, since, send_secrets, yes, approve)
            return apply_new(common, cluster, settings, api, asked)

    return each_cluster(common, one, at_once=yes, rollout=WaveOptions(go_on))


def _saved(file: Path | None) -> SavedPlan | None:
    if file is None:
        return None
    from reconciler.execution.plan_file import load_plan

    return load_plan(file)
