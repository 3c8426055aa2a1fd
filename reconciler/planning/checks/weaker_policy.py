"""Policy that asks for less than the earlier files did: a proposal that loosens what judges it."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model.finding import Finding
from reconciler.planning.checks.context import PlanContext


def check(context: PlanContext) -> Iterable[Finding]:
    return context.request.weaker
