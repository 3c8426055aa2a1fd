"""The answer to a question about access in one sentence, and its reasons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reconciler.access.any_member import stands_for
from reconciler.access.contents import ROOT
from reconciler.access.explain.denial import DenialReason
from reconciler.access.explain.explain import Explanation
from reconciler.access.login import Login
from reconciler.access.trace import EntryEffect
from reconciler.render.document import Fact
from reconciler.render.documents.acl_entries import entries_text, login_text, reason_text
from reconciler.render.view import View
from reconciler.text.humanize import count, listed, moment

MOST = 6
"""Number of paths or groups named before the rest is counted."""

EXPIRES_SOON = 14 * 86400
"""Seconds; an expiry that is nearer is pointed out."""


@dataclass(frozen=True, slots=True)
class Explained:
    """An explanation with its context.

    `asked`: the source of the answer, in words. `hidden`: why the entries cannot be shown, "" if
    they are. `giving`: the roles that hold the asked privilege. `or_else`: privileges that would
    suffice as well. `elsewhere`: other paths on which it is held. `realm`: what logins of this
    realm are checked against. `twins`: users of the same name -> whether they hold the privilege.
    `notes`: further remarks. `before`: the current answer, if the explanation is of the state after
    a plan.
    """

    found: Explanation
    asked: str
    hidden: str = ""
    reasons: tuple[DenialReason, ...] = ()
    giving: frozenset[str] = frozenset()
    or_else: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    realm: str = ""
    twins: Mapping[str, bool] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    before: bool | None = None


def answer(found: Explanation) -> str:
    """The result in one sentence."""
    who, path = found.principal, found.path
    if found.privilege:
        if found.login is not Login.ACTIVE:
            return f"No: {who} {login_text(found.login, who)}."
        if found.allowed:
            return f"Yes: {who} has {found.privilege} on {path}."
        return f"No: {who} does not have {found.privilege} on {path}."
    if found.login is not Login.ACTIVE:
        return f"{who} {login_text(found.login, who)}, so it has no access."
    number = len(found.decision.privileges)
    if found.has_all:
        return f"{who} has every privilege on {path}."
    held = count(number, "privilege") if number else "no privileges"
    return f"{who} has {held} on {path}."


def usable(found: Explanation) -> tuple[str, ...]:
    """Its usable privileges on the path."""
    if found.login is not Login.ACTIVE:
        return ()
    return tuple(sorted(found.decision.privileges))


def facts(told: Explained, view: View) -> Iterable[Fact]:
    """The reason, and the identity; facts without a value are not shown."""
    found = told.found
    yield Fact("why", _why(told))
    yield Fact("or", _or_else(told))
    yield Fact("asked", told.asked)
    if told.before is not None:
        yield Fact("today", "yes" if told.before else "no")
    yield Fact("who", _who(told))
    if not stands_for(found.principal):
        yield Fact("login", _login(found, view))
        yield Fact("groups", "" if told.hidden else _groups(found))
    for twin, holds in told.twins.items():
        has = "has" if holds else "does not have"
        what = f", which {has} {found.privilege} there" if found.privilege else ""
        yield Fact("not", f"{twin}{what}: different account, same user name in another realm")
    if told.elsewhere:
        paths = listed(told.elsewhere, MOST)
        yield Fact("elsewhere", f"it has {found.privilege} on {paths}")


def _why(told: Explained) -> str:
    found = told.found
    if told.hidden:
        return told.hidden
    if found.principal == ROOT:
        return f"{ROOT} has every privilege everywhere; entries do not apply to it"
    if not found.privilege:
        return _why_less(found)
    if found.privilege in found.decision.privileges:
        return _given(told)
    if found.login in (Login.ABSENT, Login.OWNER_ABSENT) and not found.decision.sides:
        return ""
    clauses = [reason_text(reason, found.privilege) for reason in told.reasons]
    if found.owner and found.privsep and len(told.reasons) == 1 and len(found.decision.sides) == 2:
        clauses.append(_half(told.reasons[0], found))
    return "; ".join(clauses)


def _half(reason: DenialReason, found: Explanation) -> str:
    """One side of a token pair holds it, the other does not."""
    has, lacks = "the token itself", f"its user {found.owner}"
    if reason.principal == found.principal:
        has, lacks = lacks, "the token itself"
    return f"{has} has it, but {lacks} does not; a token has only what both have"


def _why_less(found: Explanation) -> str:
    """If no privilege was asked for, name only those that a token loses because of its user."""
    if not found.decision.lost:
        return ""
    lost = listed(found.decision.lost, MOST)
    return f"its own entries also grant {lost}, which its user {found.owner} lacks there"


def _given(told: Explained) -> str:
    parts = []
    for side in told.found.decision.sides:
        giving = [
            one
            for one in side.entries
            if one.effect is EntryEffect.DECIDES and one.entry.role in told.giving
        ]
        text = entries_text([one.entry for one in giving])
        pools = sorted({one.pool for one in giving if one.pool})
        parts.append(f"{text}, through pool {' and '.join(pools)}" if pools else text)
    return f"by {', and '.join(part for part in parts if part)}" if any(parts) else ""


def _or_else(told: Explained) -> str:
    if not told.or_else or told.found.allowed:
        return ""
    return f"{' or '.join(told.or_else)} would suffice as well"


def _who(told: Explained) -> str:
    found = told.found
    group = stands_for(found.principal)
    if group:
        return f"any member of {group}, through the group alone"
    realm = f"of realm {(found.owner or found.principal).rpartition('@')[2]}"
    if told.realm:
        realm += f" ({told.realm})"
    if not found.owner:
        return f"user {realm}"
    if found.login is Login.ABSENT or told.hidden:
        return f"token of {found.owner} {realm}"
    if not found.privsep:
        return f"token of {found.owner} {realm}, without privilege separation: it is its user"
    if found.owner == ROOT:
        return f"token of {ROOT}, with privilege separation: it has what its own entries grant"
    return f"token of {found.owner} {realm}, with privilege separation: it has what both have"


def _login(found: Explanation, view: View) -> str:
    text = login_text(found.login, found.principal)
    if found.expires and found.login is Login.ACTIVE:
        soon = ", which is soon" if view.now and found.expires - view.now < EXPIRES_SOON else ""
        return f"{text} until {moment(found.expires)}{soon}"
    return text


def _groups(found: Explanation) -> str:
    if ROOT in (found.principal, found.owner):
        return ""
    whose = " of its user" if found.owner else ""
    groups = listed(found.groups, MOST)
    return f"{groups}{whose}" if groups else "none"
