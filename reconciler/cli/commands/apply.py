"""pvectl apply: bring the cluster to the declared state; roll back when a step fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions, means_several
from reconciler.cli.context import Loaded, connect, each_cluster, here
from reconciler.cli.earlier_files import Since
from reconciler.cli.output import beside_secrets, check_formats
from reconciler.cli.planning import (
    Allow,
    SendSecrets,
    Targets,
    carry_out,
    load_to_plan,
    make_plan,
    read_to_plan,
    show_plan,
)
from reconciler.cli.rollout import Rollout
from reconciler.cli.saved_plan import signed_by, signers, still_fitting
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus, UsageError
from reconciler.execution.journal import store
from reconciler.execution.plan_file import load_plan
from reconciler.live.reader import Live
from reconciler.model.api import Api
from reconciler.model.plan import Plan


@command(app, "apply", Panel.PLAN, 2)
def apply(
    common: CommonOptions,
    file: Annotated[
        Path | None, typer.Argument(help="A plan saved by `plan --out`.", show_default=False)
    ] = None,
    *,
    yes: Annotated[
        bool, typer.Option("--yes", envvar="PVECTL_YES", help="Skip the confirmation; for CI.")
    ] = False,
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
        typer.Option("--continue", help="Begin the next wave of [rollout] whatever happened."),
    ] = False,
) -> ExitStatus:
    """Bring the cluster to the declared state.

    Shows the plan, asks for confirmation, then sends it step by step; each step is recorded in a
    journal before and after. A saved plan has been reviewed, so it is applied without confirmation
    unless the files, the policy or the cluster have changed in a way that forbids it. When a step
    fails, everything is rolled back and verified. Exit 0 when done; 9 when it failed and everything
    is restored; 10 when manual intervention is needed.
    """
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

    saved = None if file is None else load_plan(file)

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        signer = signed_by(saved, allowed_signers or signers(common, settings), settings.folder)
        with connect(cluster, read_only=False, plans=True) as api:
            if saved is not None:
                store.refuse_to_begin(here(cluster, api, keep=True).folder)
                plan, live = still_fitting(common, saved, api, cluster, settings, strict=strict)
            else:
                try:
                    loaded = load_to_plan(cluster, settings)
                finally:
                    store.refuse_to_begin(here(cluster, api, keep=True).folder)
                asks = not yes and approve is None
                asked_for = _Asked(target, allow, since, send_secrets)
                plan, live = _fresh(common, loaded, api, asked_for, asks=asks)
            asked = yes or saved is not None
            return carry_out(
                common, cluster, settings, api, plan, approve, yes=asked, signer=signer, live=live
            )

    if saved is not None and means_several(common.on):
        raise UsageError("a saved plan is for one cluster", hint="choose it with --on NAME")
    return each_cluster(common, one, at_once=yes, rollout=Rollout(go_on))


class _Asked(NamedTuple):
    """The options that decide what a new plan holds."""

    targets: list[str] | None
    allow: list[str] | None
    since: str | None
    send_secrets: bool


def _fresh(
    common: CommonOptions,
    loaded: Loaded,
    api: Api,
    asked: _Asked,
    *,
    asks: bool,
) -> tuple[Plan, Live]:
    """Make and show a new plan, and the snapshot it was made from; `asks` whether the user will be
    asked to confirm it."""
    live, earlier = read_to_plan(loaded, api, asked.since)
    planned = make_plan(
        loaded, api, live, asked.targets, asked.allow, earlier, send_secrets=asked.send_secrets
    )
    applied = planned.plan.steps and not planned.plan.refusals
    common = beside_secrets(common, planned.plan) if applied else common
    show_plan(_for_reading(common) if applied else common, planned, deciding=asks or not applied)
    return planned.plan, live


def _for_reading(common: CommonOptions) -> CommonOptions:
    """The outputs except those that hold one document only: they get the report at the end."""
    outputs = (one for one in common.outputs if one.file is None and one.name != "json")
    return replace(common, outputs=tuple(outputs))
