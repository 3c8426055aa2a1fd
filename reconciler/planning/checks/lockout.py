"""Reject plans that lock a protected principal out after any step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType

from reconciler.access.analysis.lockout import (
    EXPIRY_HORIZON,
    LockoutLoss,
    ProtectedAccess,
    administrators,
    first_loss,
)
from reconciler.access.contents import ROOT
from reconciler.access.delta import Delta, apply_delta
from reconciler.access.login import Login, active, login
from reconciler.access.table import AccessTable
from reconciler.model.finding import Finding, Severity, Source
from reconciler.model.plan import Step
from reconciler.model.policy import Lockout
from reconciler.planning.checks.context import PlanContext
from reconciler.text.suggest import did_you_mean

BREAK_GLASS = "BREAK_GLASS"

_NO_PLACES: Mapping[str, Source] = MappingProxyType({})


def check(context: PlanContext) -> Iterable[Finding]:
    request = context.request
    if request.actor:
        yield from lockout(
            context.desired.policy.lockout,
            request.actor,
            context.before,
            context.steps,
            context.deltas,
            request.now,
            context.desired.policy_places,
        )


def lockout(
    policy: Lockout,
    actor: str,
    live: AccessTable,
    steps: Sequence[Step],
    deltas: Sequence[Delta],
    now: int,
    places: Mapping[str, Source] = _NO_PLACES,
) -> Iterable[Finding]:
    """The first lockout, as a refusal that names the step and the deciding entries. `deltas`: what
    each step does to `live`; `places`: where the settings name the principals, by dotted keys.
    """
    end = live.copy()
    for delta in deltas:
        apply_delta(end, delta)
    for who, finding in _unprotected(policy, live, end, now, changes=bool(steps)):
        key = f"lockout.break_glass.{who}" if who else "lockout.administrators"
        yield finding._replace(source=places.get(key))
    yield from _ending(actor, live, end, now, changes=bool(steps))
    loss = first_loss(policy, actor, live, deltas, now)
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


def _unprotected(
    policy: Lockout, live: AccessTable, end: AccessTable, now: int, *, changes: bool
) -> Iterable[tuple[str, Finding]]:
    """The principals that [lockout] protects must exist, and must not expire; "" stands for the
    administrators."""
    known = {ROOT, *end.users, *end.tokens}
    for who in policy.break_glass:
        if who not in {*known, *live.users, *live.tokens}:
            text = f"[lockout] break_glass names {who}, which does not exist"
            hint = did_you_mean(who, known) or "correct its name"
            yield who, _refusal(who, text, hint, changes=changes)
            continue
        if not active(end, who, now) and not active(live, who, now):
            text = f"break-glass principal {who} cannot log in: {login(end, who, now)}"
            yield who, Finding(BREAK_GLASS, Severity.WARNING, text, "enable it, or name another")
        last = _expires(end, who)
        if last > now and last != _expires(live, who):
            day = datetime.fromtimestamp(last, UTC).date()
            text = f"break-glass principal {who} could log in only until {day}"
            yield who, _refusal(who, text, "remove its expiry", changes=changes)
    there = len(administrators(end, now))
    if there < policy.administrators:
        text = (
            f"[lockout] requires {policy.administrators} administrators; users who can log in and "
            f"hold every privilege on / after the plan: {there}"
        )
        hint = "grant Administrator on / to more users, or correct the number"
        yield "", Finding(BREAK_GLASS, Severity.WARNING, text, hint)


def _expires(table: AccessTable, who: str) -> int:
    """The earlier expiry of a token and its user; 0 for none."""
    user = who.partition("!")[0]
    records = (table.users.get(user), table.tokens.get(who))
    return min((one.expires for one in records if one and one.expires), default=0)


def _refusal(who: str, message: str, hint: str, *, changes: bool) -> Finding:
    """A plan that changes nothing is not refused."""
    if not changes:
        return Finding(BREAK_GLASS, Severity.WARNING, message, hint)
    flag = f"{BREAK_GLASS}={who}"
    hint = f"{hint}; to allow just this: --allow '{flag}'"
    return Finding(BREAK_GLASS, Severity.ERROR, message, hint, allow=flag)


def _ending(
    actor: str, live: AccessTable, end: AccessTable, now: int, *, changes: bool
) -> Iterable[Finding]:
    """The acting token may expire before the run ends, or before a rollback."""
    if not changes or active(live, actor, now + EXPIRY_HORIZON) or not active(live, actor, now):
        return
    state = login(end, actor, now + EXPIRY_HORIZON)
    if state in (Login.EXPIRED, Login.OWNER_EXPIRED):
        yield Finding(
            "ACTOR_EXPIRES",
            Severity.WARNING,
            f"{actor} expires in less than a day: a run that outlasts it could be "
            "neither finished nor rolled back",
            hint="extend its expiry first, or apply with another token",
        )


def _because(loss: LockoutLoss) -> str:
    """The entries that decide instead, if any."""
    if loss.decision is None:
        return ""
    deciding = [
        f"{one.entry.role} for {one.entry.kind} {one.entry.principal} on {one.entry.path}"
        for side in loss.decision.sides
        for one in side.entries
        if one.effect == "decides"
    ]
    return f"; decided there by {' and '.join(deciding)}" if deciding else ""
