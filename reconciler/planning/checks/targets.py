"""Targets that match nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from reconciler.model.address import Address
from reconciler.model.finding import Finding, Severity
from reconciler.planning.checks.context import PlanContext
from reconciler.text.suggest import did_you_mean


def check(context: PlanContext) -> Iterable[Finding]:
    desired = context.desired
    known = {*desired.objects, *desired.removed, *context.live}
    yield from unmatched_targets(context.request.targets, known)


def unmatched_targets(targets: Sequence[str], addresses: Collection[Address]) -> Iterable[Finding]:
    """Targets that fit none of all objects, declared or live: an empty plan would hide the slip."""
    for target in targets:
        if not any(address.matches(target) for address in addresses):
            yield Finding(
                "NO_SUCH_TARGET",
                Severity.ERROR,
                f"--target '{target}' matches no declared or live object",
                did_you_mean(target, map(str, addresses)) or "write KIND.NAME, as in user.anna@pve",
            )
