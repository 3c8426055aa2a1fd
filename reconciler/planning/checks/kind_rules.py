"""Findings of the kinds themselves about changes and the planned state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.kinds import all_kinds, kind_of
from reconciler.model.change import Change
from reconciler.model.finding import Finding
from reconciler.model.spec import State
from reconciler.planning.checks.context import PlanContext

_OF_A_CLUSTER = frozenset({"JOB_ID", "PRINCIPAL_GONE"})
"""They say that something does not exist, which files alone cannot say."""


def check(context: PlanContext) -> Iterable[Finding]:
    for finding in _found(context):
        declared = context.desired.objects.get(finding.address) if finding.address else None
        additive = declared is not None and declared.notes.get("members") == "additive"
        if additive and finding.code == "EMPTY_POOL":
            continue  # its members come from elsewhere
        yield finding._replace(source=finding.source or (declared.source if declared else None))


def _found(context: PlanContext) -> Iterable[Finding]:
    for finding in refused_by_kind(context.changes, context.live):
        if context.facts.complete or finding.code not in _OF_A_CLUSTER:
            yield finding
    for kind in all_kinds().values():
        yield from kind.checks.planned_state(context.planned, context.facts)


def refused_by_kind(changes: Sequence[Change], live: State) -> Iterable[Finding]:
    """Changes that a kind rejects, such as a new value of a fixed option."""
    made = {change.address: change.after for change in changes if change.before is None}
    there = {**live, **{address: spec for address, spec in made.items() if spec is not None}}
    for change in changes:
        yield from kind_of(change.address).checks.change(change, there)
