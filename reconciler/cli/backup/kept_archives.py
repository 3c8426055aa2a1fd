"""Ask which archives a changed retention would remove."""

from __future__ import annotations

from dataclasses import replace

from reconciler.kinds.shared.reader import RESOURCES
from reconciler.live.reader import Live
from reconciler.model.api import Api
from reconciler.model.spec import State
from reconciler.planning.backups.retention import rules_concerned


def with_archives(api: Api, live: Live, planned: State) -> Live:
    """`live` with the archives of the storages on which `planned` changes the retention, and what
    Proxmox VE would remove of them today and as planned.

    Sends no request where it changes none.
    """
    rules = rules_concerned(live.state, planned, live.facts)
    if not rules:
        return live
    from reconciler.execution.backups.dry_run import dry_runs

    (resources,) = api.get([RESOURCES])
    return live._replace(facts=replace(live.facts, kept=dry_runs(api, resources, rules)))
