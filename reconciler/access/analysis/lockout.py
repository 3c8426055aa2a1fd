"""Who would be locked out during a plan: the acting token, break-glass principals, administrators.

Checks the state after every step, both as it is then and once everything that expires soon has
expired. A rollback passes through the same states, so what holds here holds there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from reconciler.access.analysis.affected import Affected, affected_principals
from reconciler.access.analysis.effects import names
from reconciler.access.analysis.equivalence import equivalence_classes, held
from reconciler.access.analysis.impact import known_paths
from reconciler.access.contents import ROOT
from reconciler.access.delta import Delta, apply_delta
from reconciler.access.login import Login, active, login
from reconciler.access.table import AccessTable
from reconciler.access.trace import Decision, trace_decision
from reconciler.model.policy import Lockout
from reconciler.pve.acl_paths import UNNAMED, path_in_words
from reconciler.text.humanize import in_prose

EXPIRY_HORIZON = 24 * 3600
"""In seconds. A saved plan is valid that long: what expires by then may expire in the run."""


class ProtectedAccess(StrEnum):
    """Access that must be kept."""

    SELF = "the acting token"
    BREAK_GLASS = "a break-glass principal"
    ADMINISTRATORS = "the minimum of administrators"


@dataclass(frozen=True, slots=True)
class LockoutLoss:
    """After step `step` (from 0) `principal` has lost access that must be kept.

    `lost`: privileges on `path`; empty if it can no longer log in, which `login` explains.
    `decision`: the entries that now decide. For administrators `principal` is empty, `left` is
    their remaining number, `wanted` the required one, and `gone` names the former ones with the
    reason. `soon`: not at once, but because something expires within a day.
    """

    step: int
    kept: ProtectedAccess
    principal: str = ""
    path: str = ""
    lost: tuple[str, ...] = ()
    login: Login = Login.ACTIVE
    decision: Decision | None = None
    left: int = 0
    wanted: int = 0
    gone: tuple[str, ...] = ()
    soon: bool = False

    def __str__(self) -> str:
        when = " within a day" if self.soon else ""
        if self.kept is ProtectedAccess.ADMINISTRATORS:
            return (
                f"{self.left} enabled users would hold every privilege on /{when}, no longer "
                f"{in_prose(self.gone)}; at least {self.wanted} must"
            )
        who = f"{self.kept} {self.principal}"
        if self.login is not Login.ACTIVE:
            return f"{who} could no longer log in{when}: {self.login}"
        return f"{who} would lose {in_prose(self.lost)} on {path_in_words(self.path)}{when}"


def first_loss(
    policy: Lockout,
    actor: str,
    start: AccessTable,
    steps: Iterable[Delta],
    now: int = 0,
) -> LockoutLoss | None:
    """The first loss after any of the steps, applied in order to `start`; None: no loss.

    `actor`: who applies the plan; "" if unknown. `now` in Unix seconds; a principal that expires
    by then cannot log in; with 0 nothing counts as expired. Only access held in `start` can be
    lost; what expires soon anyway counts only until then.
    """
    deltas = list(steps)
    guards = [_Guard(policy, actor, start, now)]
    if now and any(_ends_soon(start, deltas, now)):
        guards.append(_Guard(policy, actor, start, now + EXPIRY_HORIZON, soon=True))
    for number, delta in enumerate(deltas):
        for guard in guards:
            for loss in guard.losses(number, delta):
                return loss
    return None


def _ends_soon(start: AccessTable, deltas: Iterable[Delta], now: int) -> Iterator[bool]:
    """For every principal that exists or will exist."""
    for one in (*start.users.values(), *start.tokens.values()):
        yield now < one.expires <= now + EXPIRY_HORIZON
    for delta in deltas:
        for _, after in (*delta.users.values(), *delta.tokens.values()):
            yield after is not None and now < after.expires <= now + EXPIRY_HORIZON


def administrators(table: AccessTable, now: int = 0) -> tuple[str, ...]:
    """The users that can log in and hold every privilege on `/`.

    Tokens do not count: none exceeds its user, and people must be able to regain access.
    """
    candidates = {ROOT, *_entered_on_top(table)}
    every = table.release.privileges
    return tuple(user for user in sorted(candidates) if held(table, user, "/", now).keys() >= every)


def _entered_on_top(table: AccessTable) -> Iterator[str]:
    """Only entries on `/` itself apply there."""
    kinds = table.acl.get("/", {})
    yield from kinds.get("user", {})
    for group in kinds.get("group", {}):
        yield from table.groups.get(group, ())


class _Guard:
    """The intermediate state, and the initial access that must be kept."""

    def __init__(
        self, policy: Lockout, actor: str, start: AccessTable, now: int, *, soon: bool = False
    ) -> None:
        self._soon = soon
        self._start = start
        self._table = start.copy()
        self._time = now
        self._actor = actor
        self._own = list(_wanted(policy.keep_self, start, actor, now)) if actor else []
        self._acts = bool(actor) and active(start, actor, now)
        self._glass = tuple(who for who in policy.break_glass if active(start, who, now))
        self._administrators = administrators(start, now)
        self._needed = min(policy.administrators, len(self._administrators))

    def losses(self, step: int, delta: Delta) -> Iterator[LockoutLoss]:
        """Apply one step; return what is lost."""
        if not delta:
            return
        apply_delta(self._table, delta)
        reach = affected_principals(delta, self._start, self._table)
        if self._actor in reach:
            yield from self._of_actor(step)
        for principal in self._glass:
            if principal in reach:
                yield from self._of_glass(step, principal, reach)
        if any("/" in roots for roots in reach.values()):
            yield from self._of_administrators(step)

    def _of_administrators(self, step: int) -> Iterator[LockoutLoss]:
        left = administrators(self._table, self._time)
        if len(left) >= self._needed:
            return
        states = {
            who: login(self._table, who, self._time)
            for who in self._administrators
            if who not in left
        }
        active_ones = [who for who, state in states.items() if state is Login.ACTIVE]
        yield LockoutLoss(
            step,
            ProtectedAccess.ADMINISTRATORS,
            decision=trace_decision(self._table, active_ones[0], "/") if active_ones else None,
            left=len(left),
            wanted=self._needed,
            gone=tuple(
                who if state is Login.ACTIVE else f"{who} ({state})"
                for who, state in states.items()
            ),
            soon=self._soon,
        )

    def _of_actor(self, step: int) -> Iterator[LockoutLoss]:
        state = login(self._table, self._actor, self._time)
        if state is not Login.ACTIVE and self._acts:
            yield LockoutLoss(step, ProtectedAccess.SELF, self._actor, login=state, soon=self._soon)
        for privilege, path in self._own:
            if privilege not in held(self._table, self._actor, path, self._time):
                decision = trace_decision(self._table, self._actor, path)
                lost = (privilege,)
                yield LockoutLoss(
                    step,
                    ProtectedAccess.SELF,
                    self._actor,
                    path,
                    lost,
                    decision=decision,
                    soon=self._soon,
                )

    def _of_glass(self, step: int, principal: str, reach: Affected) -> Iterator[LockoutLoss]:
        state = login(self._table, principal, self._time)
        if state is not Login.ACTIVE:
            yield LockoutLoss(
                step, ProtectedAccess.BREAK_GLASS, principal, login=state, soon=self._soon
            )
            return
        tables = (self._start, self._table)
        paths = known_paths(tables, UNNAMED)
        for cell in equivalence_classes(tables, {principal: reach[principal]}, paths, self._time):
            lost = cell.held[0].keys() - cell.held[1].keys()
            if lost:
                path = cell.paths[0]
                decision = trace_decision(self._table, principal, path)
                yield LockoutLoss(
                    step,
                    ProtectedAccess.BREAK_GLASS,
                    principal,
                    path,
                    names(lost),
                    decision=decision,
                    soon=self._soon,
                )


def _wanted(
    keep: Iterable[str], start: AccessTable, actor: str, now: int
) -> Iterator[tuple[str, str]]:
    """`PRIVILEGE on PATH` of those that the actor holds at all."""
    for text in keep:
        privilege, _, path = text.partition(" on ")
        if privilege in held(start, actor, path.strip(), now):
            yield privilege, path.strip()
