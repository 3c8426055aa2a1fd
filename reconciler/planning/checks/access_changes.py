"""Gains and losses of access that a reviewer may not expect, and new ways to root."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model.finding import Finding
from reconciler.planning.access_summary import new_ways_to_root, surprises
from reconciler.planning.checks.context import PlanContext


def check(context: PlanContext) -> Iterable[Finding]:
    yield from surprises(context.impact)
    if context.impact.delta:
        yield from new_ways_to_root(*context.filled)
