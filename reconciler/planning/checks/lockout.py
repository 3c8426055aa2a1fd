"""Plans after some prefix of which somebody who must not be locked out would be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.access.analysis.lockout import SOON, LockoutLoss, ProtectedAccess, first_loss
from reconciler.access.delta import apply_delta
from reconciler.access.login import Login, active, login
from reconciler.access.table import AccessTable
from reconciler.kinds import access_delta
from reconciler.model.finding import Finding, Severity
from reconciler.model.plan import Step
from reconciler.model.policy import Lockout
from reconciler.planning.checks.context import PlanContext


def check(context: PlanContext) -> Iterable[Finding]:
    request = context.request
    if request.actor:
        yield from lockout(
            context.desired.policy.lockout,
            request.actor,
            context.before,
            context.steps,
            request.now,
        )


def lockout(
    policy: Lockout, actor: str, live: AccessTable, steps: Sequence[Step], now: int
) -> Iterable[Finding]:
    """The first loss, as a refusal that names the step and the entries that then decide."""
    yield from _ending(actor, live, steps, now)
    loss = first_loss(policy, actor, live, (access_delta(step.changes) for step in steps), now)
    if loss is None:
        return
    step = steps[loss.step]
    changes = ", ".join(f"{change.action} {change.address}" for change in step.changes[:3])
    who = "administrators" if loss.kept is ProtectedAccess.ADMINISTRATORS else loss.principal
    yield Finding(
        "LOCKOUT",
        Severity.ERROR,
        f"after step {loss.step + 1} ({changes}) {loss}{_because(loss)}",
        f"keep that access, or change [lockout]; to allow just this: --allow 'LOCKOUT={who}'",
        step.changes[0].address,
        allow=f"LOCKOUT={who}",
    )


def _ending(actor: str, live: AccessTable, steps: Sequence[Step], now: int) -> Iterable[Finding]:
    """The acting token may end before the run does, or before it could be taken back."""
    if not steps or active(live, actor, now + SOON) or not active(live, actor, now):
        return
    end = live.copy()
    for step in steps:
        apply_delta(end, access_delta(step.changes))
    state = login(end, actor, now + SOON)
    if state in (Login.EXPIRED, Login.OWNER_EXPIRED):
        yield Finding(
            "ACTOR_EXPIRES",
            Severity.WARNING,
            f"{actor} can log in for less than a day from now: a run that outlasts it could be "
            "neither finished nor taken back",
            hint="renew its expiry first, or apply with another token",
        )


def _because(loss: LockoutLoss) -> str:
    """The entries that decide instead, if there are any."""
    if loss.decision is None:
        return ""
    deciding = [
        f"{one.entry.role} for {one.entry.kind} {one.entry.principal} on {one.entry.path}"
        for side in loss.decision.sides
        for one in side.entries
        if one.effect == "decides"
    ]
    return f"; what decides there is {' and '.join(deciding)}" if deciding else ""
