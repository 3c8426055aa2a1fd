"""Gains and losses of access that a reviewer may not expect, and new ways to root."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model.address import Address
from reconciler.model.finding import Finding, Source
from reconciler.planning.checks.context import PlanContext
from reconciler.planning.findings.access_summary import new_ways_to_root, surprises
from reconciler.planning.findings.places import first_place


def check(context: PlanContext) -> Iterable[Finding]:
    """Each at the entry, or the account, that the plan changes, as far as one is declared."""

    def place(addresses: Iterable[Address]) -> Source | None:
        concerned = sorted(addresses, key=lambda one: one not in changed)
        return first_place(concerned, context.desired)

    changed = {change.address for change in context.changes}
    yield from surprises(context.impact, place)
    if context.impact.delta:
        yield from new_ways_to_root(*context.filled, place)
