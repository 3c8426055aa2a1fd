"""How many objects a plan may delete or change: [limits]."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from reconciler.model.change import Cause, Change
from reconciler.model.finding import Finding
from reconciler.model.policy import Policy
from reconciler.model.spec import State
from reconciler.planning.checks.allow import refusal
from reconciler.planning.checks.context import PlanContext, deletes


def check(context: PlanContext) -> Iterable[Finding]:
    yield from limits(context.desired.policy, context.changes, context.live)


def limits(policy: Policy, changes: Sequence[Change], live: State) -> Iterable[Finding]:
    """Too many deletions of one kind, or changes in total; moved and restored objects do not
    count."""
    back = {change.address for change in changes if change.before is None}
    deleted = Counter(
        c.address.kind
        for c in changes
        if deletes(c) and c.reason.cause is not Cause.MOVED and c.address not in back
    )
    there = Counter(address.kind for address in live)
    limit = policy.limits.delete
    for kind, count in sorted(deleted.items()):
        reasons = []
        if limit.count is not None and count > limit.count:
            reasons.append(f"at most {limit.count} are allowed")
        if limit.percent is not None and count * 100 > limit.percent * there[kind]:
            reasons.append(f"at most {limit.percent} % are allowed")
        if reasons:
            yield refusal(
                "LIMIT_DELETE",
                f"{count} of {there[kind]} {kind} objects would be deleted, but by [limits] "
                f"{' and '.join(reasons)}",
                f"LIMIT_DELETE={kind}",
            )
    total = policy.limits.total
    changed = len({change.address for change in changes})
    if total is not None and changed > total:
        message = f"{changed} objects would change; at most {total} are allowed"
        yield refusal("LIMIT_TOTAL", message, "LIMIT_TOTAL=all")
