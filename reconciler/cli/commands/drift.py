"""pvectl drift: what differs from the declared state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconciler.access.analysis.effects import listed
from reconciler.access.analysis.summary import summarise
from reconciler.access.login import Login
from reconciler.atomic_write import atomic_write
from reconciler.cli.app import app
from reconciler.cli.command import CommonOptions, Panel, command
from reconciler.cli.context import connect, each_cluster, here, now, read_cluster
from reconciler.cli.output import check_formats, info, show
from reconciler.cli.planning import left_unfinished, load_to_plan, make_plan
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus
from reconciler.execution.journal import store
from reconciler.execution.private_folder import make
from reconciler.planning.builder import PlanResult
from reconciler.render.documents.drift import Drift
from reconciler.render.documents.drift import json as drift_json
from reconciler.render.view import View


@command(app, "drift", Panel.PLAN, 3)
def drift(common: CommonOptions) -> ExitStatus:
    """Show what differs between the cluster and the declared state; made for cron.

    Each difference is classified: changed in the cluster, declared but not applied, undeclared
    inside the managed scope, expired grant. What an earlier report named and is gone is said once.
    A member of a declared group whom no file names is drift, too, though no plan takes it away.
    Exit 0 without drift, 2 with drift.
    """
    check_formats(common, "drift")

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        loaded = load_to_plan(cluster, settings)
        with connect(cluster, read_only=True) as api:
            planned = make_plan(loaded, api, read_cluster(api, loaded.desired), None, None)
            folder = here(cluster, api, keep=True).folder
        plan = planned.plan
        last = folder / "drift.json"
        found = Drift.of(plan, applied=store.applied(folder), previous=_previous(last))
        show(common, "drift", found, _view(planned, folder))
        _keep(common, last, drift_json(found, View()))
        return ExitStatus.CHANGES if found.differences or found.crowded else ExitStatus.OK

    return each_cluster(common, one)


def _view(planned: PlanResult, folder: Path) -> View:
    """With what the drift does to access, which is what the plan does, the other way round."""
    effect = planned.impact.inverse()
    lines = [f"{one.mark} {one.in_past()}" for one in summarise(effect, planned.before, now())]
    logins = [
        f"! {listed(one.principals)}: {one.after} in the cluster, {one.before} as declared"
        for one in effect.logins
        if one.before is not Login.ABSENT
    ]
    return View(
        now=now(),
        impact=[*lines, *logins],
        impact_json=effect.to_json(),
        unfinished=left_unfinished(folder),
    )


def _previous(path: Path) -> Mapping[str, Any] | None:
    try:
        content: Mapping[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return content


def _keep(common: CommonOptions, path: Path, text: str) -> None:
    """For the next report; without a place to keep it nothing is lost but that."""
    try:
        make(path.parent)
        atomic_write(path, text.encode(), private=True, follow=False)
    except OSError:
        info(common, f"this report cannot be kept for the next one: {path.parent}")
