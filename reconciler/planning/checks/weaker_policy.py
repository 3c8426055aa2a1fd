"""A policy weaker than that of the earlier files: a proposal that relaxes its own checks."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model.finding import Finding
from reconciler.planning.checks.context import PlanContext


def check(context: PlanContext) -> Iterable[Finding]:
    return context.request.weaker
