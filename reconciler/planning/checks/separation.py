"""Separation of duties: privileges that no person may hold together, as findings."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.access.expectations.together import held_together
from reconciler.access.table import AccessTable
from reconciler.model.declared import Expectation
from reconciler.model.finding import Finding, Severity
from reconciler.planning.checks.context import PlanContext
from reconciler.text.humanize import in_prose


def check(context: PlanContext) -> Iterable[Finding]:
    yield from separation(
        context.after, context.desired.expectations, context.paths, context.request.now
    )


def separation(
    table: AccessTable, wanted: Iterable[Expectation], paths: Iterable[str] = (), now: int = 0
) -> Iterable[Finding]:
    """One finding per person."""
    for expectation, principals, places in held_together(table, wanted, paths, now):
        text = (
            f"expectation: {in_prose(principals)} can {in_prose(expectation.cannot_both)} on "
            f"{in_prose(places)}, but should not be able to do both"
        )
        yield Finding(
            "EXPECT",
            Severity.ERROR,
            f"{text} ({expectation.reason})" if expectation.reason else text,
            hint="revoke one of them, or add the person to but",
            source=expectation.source,
        )
