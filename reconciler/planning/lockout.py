"""Plans after some prefix of which somebody who must not be locked out would be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.access.lockout import Kept, Loss, first_loss
from reconciler.access.table import AccessTable
from reconciler.kinds import access_delta
from reconciler.model.finding import Finding, Severity
from reconciler.model.plan import Step
from reconciler.model.policy import Lockout


def lockout(
    policy: Lockout, actor: str, live: AccessTable, steps: Sequence[Step], now: int
) -> Iterable[Finding]:
    """The first loss, as a refusal that names the step and the entries that then decide."""
    loss = first_loss(policy, actor, live, (access_delta(step.changes) for step in steps), now)
    if loss is None:
        return
    step = steps[loss.step]
    changes = ", ".join(f"{change.action} {change.address}" for change in step.changes[:3])
    who = "administrators" if loss.kept is Kept.ADMINISTRATORS else loss.principal
    yield Finding(
        "LOCKOUT",
        Severity.ERROR,
        f"after step {loss.step + 1} ({changes}) {loss}{_because(loss)}",
        f"keep that access, or change [lockout]; to allow just this: --allow 'LOCKOUT={who}'",
        step.changes[0].address,
        allow=f"LOCKOUT={who}",
    )


def _because(loss: Loss) -> str:
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
