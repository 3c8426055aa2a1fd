"""How many objects a plan may delete or change: [limits]."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from reconciler.kinds.pool.membership import PoolSpec
from reconciler.model.address import Address
from reconciler.model.change import Cause, Change
from reconciler.model.finding import Finding
from reconciler.model.policy import Policy
from reconciler.model.spec import Spec, State
from reconciler.planning.checks.allow import refusal
from reconciler.planning.checks.context import PlanContext, deletes

LIMIT_TOTAL = "LIMIT_TOTAL"


def check(context: PlanContext) -> Iterable[Finding]:
    policy, places = context.desired.policy, context.desired.policy_places
    for finding in limits(policy, context.changes, context.live):
        total = finding.code == LIMIT_TOTAL
        yield finding._replace(source=places.get("limits.total" if total else "limits.delete"))
    for finding in members_out(policy, context.changes, context.live):
        yield finding._replace(source=places.get("limits.delete"))


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
    for kind, count in sorted(deleted.items()):
        said = _said(policy, count, there[kind])
        if said:
            text = f"{count} of {there[kind]} {kind} objects would be deleted; {said}"
            yield refusal("LIMIT_DELETE", text, f"LIMIT_DELETE={kind}")
    total = policy.limits.total
    changed = len({change.address for change in changes})
    if total is not None and changed > total:
        message = f"{changed} objects would change; at most {total} are allowed"
        yield refusal(LIMIT_TOTAL, message, "LIMIT_TOTAL=all")


def members_out(policy: Policy, changes: Sequence[Change], live: State) -> Iterable[Finding]:
    """Too many guests and storages that leave their pool for no other one; they count as deletions
    of the kind `member`."""
    out = sum(len(gone) for gone in leaving(changes).values())
    there = sum(len(_members(spec)) for address, spec in live.items() if address.kind == "pool")
    said = _said(policy, out, there) if out else ""
    if said:
        text = f"{out} of {there} pool members would be removed; {said}"
        yield refusal("LIMIT_DELETE", text, "LIMIT_DELETE=member")


def leaving(changes: Sequence[Change]) -> Mapping[Address, frozenset[int | str]]:
    """Pool -> guests by id and storages by name that leave it and go into no other pool."""
    come = {member for change in changes for member in _new(change)}
    found = {}
    for change in changes:
        gone = _members(change.before) - _members(change.after)
        stay = {member for member in gone if isinstance(member, int)} & come
        if change.address.kind == "pool" and change.after is not None and gone - stay:
            found[change.address] = frozenset(gone - stay)
    return found


def _new(change: Change) -> set[int | str]:
    return _members(change.after) - _members(change.before)


def _members(spec: Spec | None) -> set[int | str]:
    return {*spec.guests, *(spec.storages or ())} if isinstance(spec, PoolSpec) else set()


def _said(policy: Policy, count: int, there: int) -> str:
    """What [limits] says against so many; empty where it allows them."""
    limit, reasons = policy.limits.delete, []
    if limit.count is not None and count > limit.count:
        reasons.append(f"at most {limit.count} are allowed")
    if limit.percent is not None and count * 100 > limit.percent * there:
        reasons.append(f"at most {limit.percent} % are allowed")
    return f"[limits] says: {' and '.join(reasons)}" if reasons else ""
