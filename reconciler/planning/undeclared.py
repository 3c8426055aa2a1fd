"""Undeclared objects that raise an alarm, and the cluster without them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.kinds import fingerprint, kind_of, references
from reconciler.kinds.kind import AlarmWhen
from reconciler.model.address import Address
from reconciler.model.change import Cause
from reconciler.model.declared import Desired
from reconciler.model.drift import EXPIRES_SOON, Undeclared
from reconciler.model.drift_memory import Memory
from reconciler.model.finding import Finding, Severity
from reconciler.model.plan import LeftAlone
from reconciler.model.policy import Mode, Policy
from reconciler.model.spec import Spec, State
from reconciler.planning.changes.diff import diff

_DAY = 86400


def undeclared(
    kept: Iterable[LeftAlone], live: State, policy: Policy, memory: Memory, actor: str
) -> tuple[Undeclared, ...]:
    """Undeclared objects, in order.

    Those that `exclude` names, and the acting token with its user, are intended: no alarm.
    """
    granted = {
        ref
        for entry, spec in live.items()
        if entry.kind == "acl"
        for ref in references(entry, spec)
    }
    own = {Address("token", actor), Address("user", actor.partition("!")[0])}
    found = []
    for address in sorted(address for one in kept for address in one.addresses):
        spec, manage = live[address], policy.managed(address.kind)
        now = fingerprint(address, spec)
        alarm = kind_of(address).checks.undeclared
        told = alarm is AlarmWhen.ALWAYS or (alarm is AlarmWhen.GRANTED and address in granted)
        told = told or (alarm is AlarmWhen.NEW and _is_new(address, memory))
        watched = manage.mode is Mode.WATCH and manage.covers(address)
        meant = manage.excludes(address) or address in own
        acknowledged = memory.acknowledged.get(address) == now
        found.append(
            Undeclared(
                address,
                spec,
                rings=(told or watched) and not meant and not acknowledged,
                new=memory.undeclared.get(address) != now,
                acknowledged=acknowledged,
                left_files=memory.baseline.get(address) == now,
            )
        )
    return tuple(found)


def _is_new(address: Address, memory: Memory) -> bool:
    """Whether the previous report, which looked at objects of this kind, did not have it, or has
    called it new itself."""
    looked = any(known.kind == address.kind for known in memory.observed)
    return looked and (address not in memory.observed or str(address) in memory.differences)


def reported(
    desired: Desired, live: State, memory: Memory, actor: str, now: int
) -> Iterable[Address]:
    """What `drift` calls undeclared: what a plan deletes as such, and what raises an alarm."""
    found = diff(desired, live, now=now)
    for change in found.changes:
        if change.reason.cause is Cause.UNDECLARED and change.after is None:
            yield change.address
    for one in undeclared(found.kept, live, desired.policy, memory, actor):
        if one.rings:
            yield one.address


def without(state: Mapping[Address, Spec], found: Iterable[Undeclared]) -> dict[Address, Spec]:
    """The state without the undeclared objects that raise an alarm and their dependents.

    A declared object that names one of them stays.
    """
    gone = {one.address for one in found if one.rings}
    return {address: spec for address, spec in state.items() if address not in gone}


def ending(desired: Desired, live: State, now: int) -> Iterable[Finding]:
    """Declared logins, tokens and waivers that expire within the days of `[alarm]`, or have."""
    alarm = desired.policy.alarm
    for address, declared in sorted(desired.objects.items()):
        days = {"user": alarm.logins, "token": alarm.tokens}.get(address.kind)
        there = live.get(address)
        if days is None or there is None or not getattr(there, "enabled", True):
            continue
        expires = int(getattr(there, "expires", 0))
        if 0 < expires <= now + days * _DAY:
            yield Finding(
                "EXPIRES_SOON",
                Severity.WARNING,
                f"{address} {_when(expires, now)}",
                "extend `expires` and apply, or remove it",
                address,
                declared.source,
            )
    for waiver in desired.waivers:
        if waiver.expires <= now + alarm.waivers * _DAY:
            yield Finding(
                EXPIRES_SOON,
                Severity.WARNING,
                f"the waiver of {waiver.code} for {waiver.address} {_when(waiver.expires, now)}",
                "fix what it waives, or extend it with a reason that still holds",
                source=waiver.source,
            )


def _when(expires: int, now: int) -> str:
    if expires <= now:
        return "has expired"
    days = (expires - now) // _DAY
    return "expires within a day" if not days else f"expires in {days} day{'s' * (days > 1)}"
