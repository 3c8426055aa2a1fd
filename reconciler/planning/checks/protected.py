"""Objects that must never be deleted or changed: [protected]."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.model.change import Change
from reconciler.model.finding import Finding
from reconciler.model.policy import Policy
from reconciler.planning.checks.allow import refusal
from reconciler.planning.checks.context import PlanContext, deletes


def check(context: PlanContext) -> Iterable[Finding]:
    yield from protected(context.desired.policy, context.changes)


def protected(policy: Policy, changes: Sequence[Change]) -> Iterable[Finding]:
    """Objects that `[protected]` names."""
    for change in changes:
        address = change.address
        if deletes(change):
            for pattern in policy.protected.never_delete:
                if address.matches(pattern):
                    message = f"{address} must never be deleted ([protected] '{pattern}')"
                    yield refusal("PROTECTED", message, f"PROTECTED={address}", address)
        for pattern in policy.protected.never_change:
            if address.matches(pattern):
                message = f"{address} must never change ([protected] '{pattern}')"
                yield refusal("PROTECTED", message, f"PROTECTED={address}", address)
