"""ACL entries and their effect, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from reconciler.access.contents import split_token
from reconciler.access.explain.denial import DenialCause, DenialReason
from reconciler.access.login import Login
from reconciler.access.trace import EntryEffect, EntryOutcome, IdentityTrace, TracedEntry
from reconciler.render.document import Block, Style, TextLine

_TONES = {
    EntryEffect.DECIDES: (Style.CREATE, "+"),
    EntryEffect.NO_ACCESS: (Style.DELETE, "-"),
    EntryEffect.UNKNOWN_ROLE: (Style.WARNING, "!"),
}
_FAINT = (Style.FAINT, " ")
_MOST = 3
"""Number of entries that one sentence names."""


def entry_text(entry: TracedEntry, *, path: bool = True) -> str:
    """`PVEVMUser for group ops on /vms`."""
    text = f"{entry.role} for {entry.kind} {entry.principal}"
    return f"{text} on {entry.path}" if path else text


def entries_text(entries: Sequence[TracedEntry]) -> str:
    """Several of them, the first few by name."""
    shown = [entry_text(entry) for entry in entries[:_MOST]]
    if len(entries) > _MOST:
        return f"{', '.join(shown)} and {len(entries) - _MOST} more"
    *most, last = shown
    return f"{', '.join(most)} and {last}" if most else last


def entry_json(judged: EntryOutcome) -> dict[str, Any]:
    """One entry on the path with its effect."""
    entry = judged.entry
    return {
        "path": entry.path,
        "kind": entry.kind,
        "principal": entry.principal,
        "role": entry.role,
        "propagate": entry.propagate,
        "effect": str(judged.effect),
        "pool": judged.pool,
    }


def side_blocks(side: IdentityTrace, privilege: str, giving: frozenset[str]) -> Iterable[Block]:
    """The entries on the path in columns, outermost first, those through pools at the end.

    `giving`: the roles that hold `privilege`.
    """
    rows = [(one, (one.entry.path, one.entry.role, _whom(one.entry))) for one in side.entries]
    wide = [max(len(cells[at]) for _, cells in rows) for at in range(3)] if rows else []
    for one, cells in rows:
        tone, mark = _TONES.get(one.effect, _FAINT)
        columns = [cell.ljust(width) for cell, width in zip(cells, wide, strict=True)]
        label = "  ".join([f"{mark} {columns[0]}", *columns[1:], ""])
        yield (TextLine(_effect(one, privilege, giving), tone, 2, label=label),)
    if not rows:
        yield (TextLine("none", Style.FAINT, 2),)


def _whom(entry: TracedEntry) -> str:
    return f"{entry.kind} {entry.principal}"


def _effect(judged: EntryOutcome, privilege: str, giving: frozenset[str]) -> str:
    text = str(judged.effect)
    if judged.effect is EntryEffect.NOT_PROPAGATED:
        text = "does not propagate"
    elif judged.effect is EntryEffect.DECIDES and judged.entry.role == "NoAccess":
        text = "decides: denies everything"
    elif judged.effect is EntryEffect.DECIDES and privilege:
        gives = "grants" if judged.entry.role in giving else "does not grant"
        text = f"decides: {gives} {privilege}"
    return f"{text}, through pool {judged.pool}" if judged.pool else text


def reason_text(reason: DenialReason, privilege: str) -> str:
    """Why one side lacks a privilege, as a clause without a full stop."""
    who = reason.principal
    instead = entries_text(reason.deciding) if reason.deciding else ""
    verb = "does" if len(reason.deciding) == 1 else "do"
    text = {
        DenialCause.DENIED: f"{instead} denies everything",
        DenialCause.ROLES_LACK: f"{who} is decided by {instead}, which {verb} not hold {privilege}",
        DenialCause.UNKNOWN_ROLE: f"the role of {instead} does not exist",
        DenialCause.NO_ENTRY: f"no entry on the path applies to {who}",
        DenialCause.NOT_PROPAGATED: "applies only to its own path, not below",
        DenialCause.SHADOWED_USER: f"{instead} is on the same path, and a user's own entries "
        "override those of its groups",
        DenialCause.SHADOWED_DEEPER: f"{instead} is deeper and takes precedence",
    }[reason.cause]
    if reason.would is None or reason.cause is DenialCause.DENIED:
        return text
    return f"{entry_text(reason.would)} would grant it, but {text}"


def login_text(login: Login, principal: str) -> str:
    """`cannot log in: its user is disabled`; for one that can, that it can."""
    if login is Login.ACTIVE:
        return "can log in"
    subject = "the token" if split_token(principal) else "the user"
    if login in (Login.ABSENT, Login.DISABLED, Login.EXPIRED):
        return f"cannot log in: {subject} {_is(login)}"
    return f"cannot log in: {login}"


def _is(login: Login) -> str:
    verbs = {Login.DISABLED: "is disabled", Login.EXPIRED: "has expired"}
    return verbs.get(login, str(login))
