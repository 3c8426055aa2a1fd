"""pvectl drift: what differs from the declared state."""

from __future__ import annotations

from reconciler.cli.app import app
from reconciler.cli.common import Common, command
from reconciler.cli.plan import make_plan
from reconciler.cli.session import connect, each_cluster, load_cluster, look
from reconciler.cli.talk import check_formats, show
from reconciler.desired.settings import Settings
from reconciler.desired.target import Cluster
from reconciler.errors import ExitStatus


@command(app, "drift")
def drift(common: Common) -> ExitStatus:
    """Show what differs between the cluster and the declared state; made for cron.

    Each difference is classified: changed in the cluster, declared but not applied, undeclared
    inside the managed scope, expired grant. Exit 0 without drift, 2 with drift.
    """
    check_formats(common, "drift")

    def one(cluster: Cluster, settings: Settings) -> ExitStatus:
        loaded = load_cluster(cluster, settings)
        with connect(cluster, read_only=True) as api:
            planned = make_plan(loaded, api, look(api, loaded.desired), None, None)
        show(common, "drift", Drift.of(planned.plan))
        return ExitStatus.CHANGES if planned.plan.steps else ExitStatus.OK

    return each_cluster(common, one)
