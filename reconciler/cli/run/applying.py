"""Apply to one cluster: make a plan or check a saved one, show it, carry it out.

Imported while the cluster already answers what every plan reads.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import here
from reconciler.cli.run.lock_wait import wait_for_turn
from reconciler.cli.run.planning import carry_out, load_to_plan, make_plan, read_to_plan, show_plan
from reconciler.cli.terminal.output import beside_secrets
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus
from reconciler.model.api import Api

if TYPE_CHECKING:
    from reconciler.execution.plan_file import SavedPlan


class ApplyOptions(NamedTuple):
    """The options that decide what a new plan holds, and how it is confirmed."""

    targets: list[str] | None
    allow: list[str] | None
    since: str | None
    send_secrets: bool
    yes: bool
    approve: str | None


def apply_new(
    common: CommonOptions,
    cluster: ClusterSettings,
    settings: Settings,
    api: Api,
    asked: ApplyOptions,
) -> ExitStatus:
    """Make, show and carry out a new plan."""
    try:
        loaded = load_to_plan(cluster, settings)
    finally:
        wait_for_turn(common, api, here(cluster, api, keep=True).folder)
    live, earlier = read_to_plan(loaded, api, asked.since)
    planned = make_plan(
        loaded, api, live, asked.targets, asked.allow, earlier, send_secrets=asked.send_secrets
    )
    applied = planned.plan.steps and not planned.plan.refusals
    shown = beside_secrets(common, planned.plan) if applied else common
    asks = not asked.yes and asked.approve is None
    show_plan(_for_reading(shown) if applied else shown, planned, deciding=asks or not applied)
    return carry_out(
        common, cluster, settings, api, planned.plan, asked.approve, yes=asked.yes, live=live
    )


def apply_saved(
    common: CommonOptions,
    cluster: ClusterSettings,
    settings: Settings,
    api: Api,
    saved: SavedPlan,
    approve: str | None,
    signer: str,
    *,
    strict: bool,
) -> ExitStatus:
    """Apply a saved plan, if it still fits; it has been reviewed, so there is no prompt."""
    from reconciler.cli.run.saved_plan import still_fitting

    wait_for_turn(common, api, here(cluster, api, keep=True).folder)
    plan, live = still_fitting(common, saved, api, cluster, settings, strict=strict)
    return carry_out(
        common, cluster, settings, api, plan, approve, yes=True, signer=signer, live=live
    )


def _for_reading(common: CommonOptions) -> CommonOptions:
    """The outputs except those that hold one document only: they get the report at the end."""
    outputs = (one for one in common.outputs if one.file is None and one.name != "json")
    return replace(common, outputs=tuple(outputs))
