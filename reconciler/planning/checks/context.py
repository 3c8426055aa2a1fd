"""What a check may look at: the plan with the state before and after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.access.analysis.impact import Impact
from reconciler.access.delta import Delta
from reconciler.access.table import AccessTable
from reconciler.kinds import kind_of
from reconciler.model.change import Action, Change
from reconciler.model.declared import Desired
from reconciler.model.inventory import Facts
from reconciler.model.plan import Step
from reconciler.model.spec import State
from reconciler.planning.request import PlanRequest


@dataclass(frozen=True, slots=True)
class PlanContext:
    """`live` becomes `planned` by `steps`, which carry `changes`.

    `before` and `after`: the same two states for the permission algorithm; `deltas`: what each step
    does to the first; `filled`: both as if each empty group had a member. `paths`: the ACL paths
    that exist. `impact`: who gains and loses which privileges where.
    """

    desired: Desired
    request: PlanRequest
    live: State
    planned: State
    facts: Facts
    changes: Sequence[Change]
    steps: Sequence[Step]
    before: AccessTable
    after: AccessTable
    deltas: Sequence[Delta]
    filled: tuple[AccessTable, AccessTable]
    paths: tuple[str, ...]
    impact: Impact


def deletes(change: Change) -> bool:
    """Whether the object is deleted, if only to be created again."""
    return any(
        part.action is Action.DELETE for part in kind_of(change.address).writes.split(change)
    )
