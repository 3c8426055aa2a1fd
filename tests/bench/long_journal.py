"""A journal of many steps, as an apply leaves it."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

from reconciler.execution.journal import store
from reconciler.kinds.group import GroupSpec
from reconciler.model.address import Address
from reconciler.model.declared import Declared, Desired
from reconciler.model.finding import Source
from reconciler.model.inventory import Facts
from reconciler.planning.builder import build_plan
from reconciler.planning.request import PlanRequest

_BEGAN = 1_760_000_000
_SOURCE = Source("groups.toml", 1)


def long_journal(folder: Path, steps: int) -> Path:
    """A plan that creates so many groups; each step announced and done."""
    groups = {
        Address("group", f"g{number}"): Declared(GroupSpec(comment=f"team {number}"), _SOURCE)
        for number in range(steps)
    }
    request = PlanRequest("https://pve01.example.com:8006", "root@pam", _BEGAN)
    plan = build_plan(Desired(groups), {}, Facts("9.2"), request).plan
    with (
        mock.patch.object(os, "fsync"),
        store.start(folder, plan, "root@desk", "", _BEGAN) as journal,
    ):
        for number, step in enumerate(plan.steps):
            announced = {"request": step.request.to_json(), "time": _BEGAN + 0.05 * number}
            journal.write("intent", step=number, direction="forward", attempt=1, **announced)
            journal.write("done", step=number, direction="forward")
        return journal.path
