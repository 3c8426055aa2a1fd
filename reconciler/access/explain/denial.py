"""Why a principal lacks a privilege on a path, one reason per side that lacks it."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from reconciler.access.evaluate import effective
from reconciler.access.index import NO_ACCESS
from reconciler.access.table import AccessTable
from reconciler.access.trace import Decision, EntryEffect, EntryOutcome, IdentityTrace, TracedEntry


class DenialCause(StrEnum):
    """The stable codes of reasons; the first that applies is used."""

    DENIED = "DENIED"
    """NoAccess decides"""
    SHADOWED_USER = "SHADOWED_USER"
    """a group's entry would grant it, but the user has its own entry at the same path"""
    SHADOWED_DEEPER = "SHADOWED_DEEPER"
    """an entry would grant it, but a deeper one overrides it"""
    NOT_PROPAGATED = "NOT_PROPAGATED"
    """an entry would grant it, but applies only to its own path"""
    ROLES_LACK = "ROLES_LACK"
    """entries decide, and none of their roles holds it"""
    UNKNOWN_ROLE = "UNKNOWN_ROLE"
    """no entry applies, and some name roles that do not exist"""
    NO_ENTRY = "NO_ENTRY"
    """no entry on the path applies to it"""


class DenialReason(NamedTuple):
    """Why `principal` lacks a privilege by its own entries.

    `would`: the entry that would grant it; `deciding`: those that apply instead.
    """

    principal: str
    cause: DenialCause
    would: TracedEntry | None = None
    deciding: tuple[TracedEntry, ...] = ()


_SHADOWS = {
    EntryEffect.SHADOWED_USER: DenialCause.SHADOWED_USER,
    EntryEffect.SHADOWED_DEEPER: DenialCause.SHADOWED_DEEPER,
    EntryEffect.NOT_PROPAGATED: DenialCause.NOT_PROPAGATED,
}


def denial_reasons(
    table: AccessTable, decision: Decision, privilege: str
) -> tuple[DenialReason, ...]:
    """Empty if the privilege is held. A token and its user are two sides: both must hold it."""
    return tuple(
        _reason(table, side, privilege)
        for side in decision.sides
        if privilege not in side.privileges
    )


def _reason(table: AccessTable, side: IdentityTrace, privilege: str) -> DenialReason:
    deciding = tuple(one.entry for one in side.entries if one.effect is EntryEffect.DECIDES)
    if any(entry.role == NO_ACCESS for entry in deciding):
        denying = tuple(entry for entry in deciding if entry.role == NO_ACCESS)
        return DenialReason(
            side.principal, DenialCause.DENIED, _first(table, side, privilege), denying
        )
    for effect, cause in _SHADOWS.items():
        would = _first(table, side, privilege, effect)
        if would is not None:
            return DenialReason(
                side.principal, cause, would, _instead(side, would, effect, deciding)
            )
    if deciding:
        return DenialReason(side.principal, DenialCause.ROLES_LACK, None, deciding)
    unknown = tuple(one.entry for one in side.entries if one.effect is EntryEffect.UNKNOWN_ROLE)
    cause = DenialCause.UNKNOWN_ROLE if unknown else DenialCause.NO_ENTRY
    return DenialReason(side.principal, cause, None, unknown)


def _first(
    table: AccessTable, side: IdentityTrace, privilege: str, effect: EntryEffect | None = None
) -> TracedEntry | None:
    """The innermost entry that would grant it."""
    found = [
        one.entry
        for one in side.entries
        if _gives(table, one, privilege) and (effect is None or one.effect is effect)
    ]
    return found[-1] if found else None


def _gives(table: AccessTable, judged: EntryOutcome, privilege: str) -> bool:
    return privilege in table.roles.get(judged.entry.role, frozenset())


def _instead(
    side: IdentityTrace, would: TracedEntry, effect: EntryEffect, deciding: tuple[TracedEntry, ...]
) -> tuple[TracedEntry, ...]:
    """The entries that override an entry, at the same path or deeper."""
    if effect is EntryEffect.SHADOWED_USER:
        return tuple(entry for entry in deciding if entry.path == would.path)
    if effect is EntryEffect.SHADOWED_DEEPER:
        inside = would.path.rstrip("/") + "/"
        deeper = [
            one.entry
            for one in side.entries
            if one.entry.path.startswith(inside)
            and one.entry.path != would.path
            and one.effect
            in (EntryEffect.DECIDES, EntryEffect.SHADOWED_DEEPER, EntryEffect.NO_ACCESS)
        ]
        last = [entry for entry in deeper if entry in deciding]
        return tuple(last or deeper[-1:])
    return deciding


def held_on(table: AccessTable, principal: str, privilege: str) -> tuple[str, ...]:
    """The paths that Proxmox VE lists on which `principal` holds the privilege."""
    return tuple(
        sorted(path for path, held in effective(table, principal).items() if privilege in held)
    )
