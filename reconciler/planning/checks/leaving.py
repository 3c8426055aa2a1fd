"""Guests and storages that are removed from a pool, and who loses what on them."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model.address import Address
from reconciler.model.finding import Finding, Severity
from reconciler.planning.checks.context import PlanContext
from reconciler.planning.checks.limits import leaving
from reconciler.text.humanize import in_prose, listed

_NAMED = 5


def check(context: PlanContext) -> Iterable[Finding]:
    for pool, members in sorted(leaving(context.changes).items()):
        for member in sorted(members, key=str):
            yield _left(context, pool, member)


def _left(context: PlanContext, pool: Address, member: int | str) -> Finding:
    guest = isinstance(member, int)
    path = f"/vms/{member}" if guest else f"/storage/{member}"
    losses = [
        f"{in_prose(one.principals)} {'lose' if len(one.principals) > 1 else 'loses'} "
        f"{listed(one.lost, _NAMED)} on {path}"
        for one in context.impact.effects
        if one.lost and path in one.paths
    ]
    what = "; ".join(losses) or "no access is lost"
    declared = context.desired.objects.get(pool)
    return Finding(
        "POOL_LEFT",
        Severity.WARNING,
        f"{'guest' if guest else 'storage'} {member} is removed from {pool}: {what}",
        hint='members = "additive" in the table of the pool keeps its members',
        address=pool,
        source=declared.source if declared else None,
    )
