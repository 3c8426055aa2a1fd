"""Changes that cannot be rolled back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.kinds import kind_of
from reconciler.model.change import Undo
from reconciler.model.finding import Finding
from reconciler.model.plan import Step
from reconciler.planning.checks.allow import refusal
from reconciler.planning.checks.context import PlanContext


def check(context: PlanContext) -> Iterable[Finding]:
    yield from irreversible(context.steps)


def irreversible(steps: Sequence[Step]) -> Iterable[Finding]:
    """Changes that cannot be rolled back; each must be allowed by name."""
    for step in steps:
        if step.undo is not Undo.NONE:
            continue
        for change in step.changes:
            if kind_of(change.address).writes.undo(change) is Undo.NONE:
                yield refusal(
                    "IRREVERSIBLE",
                    f"{change.action} {change.address} cannot be rolled back",
                    f"IRREVERSIBLE={change.address}",
                    change.address,
                )
