"""Whether the cluster is fit for a change: quorum, nodes that are offline or disagree, clocks."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model.finding import Finding
from reconciler.planning.checks.allow import refusal
from reconciler.planning.checks.context import PlanContext


def check(context: PlanContext) -> Iterable[Finding]:
    """A plan without steps needs no fit cluster."""
    for trouble in context.facts.health.troubles if context.steps else ():
        flag = f"{trouble.code}={trouble.what}"
        yield refusal(trouble.code, trouble.text, flag)
