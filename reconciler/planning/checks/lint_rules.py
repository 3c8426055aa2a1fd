"""Lint rules over the declared objects after the plan."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model.finding import Finding
from reconciler.planning.checks.context import PlanContext
from reconciler.planning.lint import lint_declared


def check(context: PlanContext) -> Iterable[Finding]:
    now = context.request.now
    yield from lint_declared(
        context.desired,
        context.planned,
        context.after,
        context.paths,
        now,
        complete=context.facts.complete,
    )
