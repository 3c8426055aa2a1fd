"""Checks of a plan: reasons to refuse it, and warnings about it.

Each module here with a `check` is one: (PlanContext) -> findings, never exceptions.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache

from reconciler.model.finding import Finding
from reconciler.planning.checks.context import PlanContext

Check = Callable[[PlanContext], Iterable[Finding]]


@cache
def all_checks() -> Mapping[str, Check]:
    """Name of a module -> its check, sorted by name."""
    found = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
        check = getattr(importlib.import_module(f"{__name__}.{module}"), "check", None)
        if check is not None:
            found[module] = check
    return found


def run_checks(context: PlanContext, only: Collection[str] = ()) -> list[Finding]:
    """The findings of all checks, or of those that `only` names."""
    return [
        finding
        for name, check in all_checks().items()
        if not only or name in only
        for finding in check(context)
    ]
