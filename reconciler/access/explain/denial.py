"""Why somebody lacks a privilege on a path, one reason per side that lacks it."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from reconciler.access.evaluate import effective
from reconciler.access.index import NO_ACCESS
from reconciler.access.table import AccessTable
from reconciler.access.trace import Decision, Effect, Entry, Judged, Side


class Cause(StrEnum):
    """The stable codes of reasons; of several the first one is given."""

    DENIED = "DENIED"
    """NoAccess decides"""
    SHADOWED_USER = "SHADOWED_USER"
    """a group's entry would give it, but the user has an entry of its own at the same path"""
    SHADOWED_DEEPER = "SHADOWED_DEEPER"
    """an entry would give it, but one further down takes its place"""
    NOT_PROPAGATED = "NOT_PROPAGATED"
    """an entry would give it, but it counts on its own path only"""
    ROLES_LACK = "ROLES_LACK"
    """entries decide, and none of their roles holds it"""
    UNKNOWN_ROLE = "UNKNOWN_ROLE"
    """none counts, and some name roles that do not exist"""
    NO_ENTRY = "NO_ENTRY"
    """no entry on the way counts for it"""


class Reason(NamedTuple):
    """Why `principal` lacks a privilege by its own entries.

    `would`: the entry that would give it; `deciding`: those that count instead.
    """

    principal: str
    cause: Cause
    would: Entry | None = None
    deciding: tuple[Entry, ...] = ()


_SHADOWS = {
    Effect.SHADOWED_USER: Cause.SHADOWED_USER,
    Effect.SHADOWED_DEEPER: Cause.SHADOWED_DEEPER,
    Effect.NOT_PROPAGATED: Cause.NOT_PROPAGATED,
}


def reasons(table: AccessTable, decision: Decision, privilege: str) -> tuple[Reason, ...]:
    """Empty where the privilege is held. A token and its user are two sides: both must hold it."""
    return tuple(
        _reason(table, side, privilege)
        for side in decision.sides
        if privilege not in side.privileges
    )


def _reason(table: AccessTable, side: Side, privilege: str) -> Reason:
    deciding = tuple(one.entry for one in side.entries if one.effect is Effect.DECIDES)
    if any(entry.role == NO_ACCESS for entry in deciding):
        denying = tuple(entry for entry in deciding if entry.role == NO_ACCESS)
        return Reason(side.principal, Cause.DENIED, _first(table, side, privilege), denying)
    for effect, cause in _SHADOWS.items():
        would = _first(table, side, privilege, effect)
        if would is not None:
            return Reason(side.principal, cause, would, _instead(side, would, effect, deciding))
    if deciding:
        return Reason(side.principal, Cause.ROLES_LACK, None, deciding)
    unknown = tuple(one.entry for one in side.entries if one.effect is Effect.UNKNOWN_ROLE)
    cause = Cause.UNKNOWN_ROLE if unknown else Cause.NO_ENTRY
    return Reason(side.principal, cause, None, unknown)


def _first(
    table: AccessTable, side: Side, privilege: str, effect: Effect | None = None
) -> Entry | None:
    """The innermost entry that would give it."""
    found = [
        one.entry
        for one in side.entries
        if _gives(table, one, privilege) and (effect is None or one.effect is effect)
    ]
    return found[-1] if found else None


def _gives(table: AccessTable, judged: Judged, privilege: str) -> bool:
    return privilege in table.roles.get(judged.entry.role, frozenset())


def _instead(
    side: Side, would: Entry, effect: Effect, deciding: tuple[Entry, ...]
) -> tuple[Entry, ...]:
    """What takes the place of an entry: at the same path, or further down."""
    if effect is Effect.SHADOWED_USER:
        return tuple(entry for entry in deciding if entry.path == would.path)
    if effect is Effect.SHADOWED_DEEPER:
        inside = would.path.rstrip("/") + "/"
        deeper = [
            one.entry
            for one in side.entries
            if one.entry.path.startswith(inside)
            and one.entry.path != would.path
            and one.effect in (Effect.DECIDES, Effect.SHADOWED_DEEPER, Effect.NO_ACCESS)
        ]
        last = [entry for entry in deeper if entry in deciding]
        return tuple(last or deeper[-1:])
    return deciding


def held_on(table: AccessTable, principal: str, privilege: str) -> tuple[str, ...]:
    """The paths that Proxmox VE lists on which `principal` holds the privilege."""
    return tuple(
        sorted(path for path, held in effective(table, principal).items() if privilege in held)
    )
