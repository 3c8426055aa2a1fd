"""Guests and storages that are removed from a pool: who loses what on them, and whether the files
say so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.kinds.pool.membership import PoolSpec
from reconciler.model.address import Address
from reconciler.model.change import Cause, Change
from reconciler.model.declared import Desired
from reconciler.model.finding import Finding, Severity
from reconciler.model.spec import Spec
from reconciler.planning.checks.context import PlanContext
from reconciler.planning.checks.limits import leaving
from reconciler.planning.findings.places import first_place
from reconciler.text.humanize import in_prose, listed

_NAMED = 5


def check(context: PlanContext) -> Iterable[Finding]:
    yield from taken(context.desired, context.changes)
    for pool, members in sorted(leaving(context.changes).items()):
        for member in sorted(members, key=str):
            yield _left(context, pool, member)


def taken(desired: Desired, changes: Sequence[Change]) -> Iterable[Finding]:
    """A guest is removed from another pool only if the files list the guests of that pool."""
    for change in changes:
        if change.reason.cause is not Cause.DEPENDENT or change.after is None:
            continue
        for member in sorted(_guests(change.before) - _guests(change.after)):
            takers = (one.address for one in changes if member in _guests(one.after))
            yield Finding(
                "POOL_TAKEN",
                Severity.ERROR,
                f"guest {member} is in {change.address}, and no file removes it from there; a "
                "guest can be in only one pool",
                hint=f"declare {change.address} with a `guests` list that omits it; the guest is "
                "then moved",
                address=change.address,
                source=first_place((change.address, *takers), desired),
            )


def _guests(spec: Spec | None) -> set[int]:
    return set(spec.guests) if isinstance(spec, PoolSpec) else set()


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
