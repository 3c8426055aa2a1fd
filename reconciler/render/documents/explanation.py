"""Why a principal may or may not do something: the answer, then its reasons."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reconciler.access.explain.denial import DenialCause, DenialReason
from reconciler.access.explain.explain import Explanation
from reconciler.access.explain.remediation import Remediation
from reconciler.access.explain.snippets import login_command, pveum, toml
from reconciler.access.login import Login
from reconciler.access.trace import IdentityTrace
from reconciler.pve.acl_paths import check_path
from reconciler.render import markdown as comment
from reconciler.render import terminal
from reconciler.render.document import Block, Document, Section, Style, TextLine, copied
from reconciler.render.documents.acl_entries import entry_json, reason_text, side_blocks
from reconciler.render.documents.explanation_facts import MOST, Explained, answer, facts, usable
from reconciler.render.json import document
from reconciler.render.view import View
from reconciler.text.humanize import listed

FORMAT = 1


def outline(told: Explained, view: View) -> Document:
    """The answer in one sentence, its reason, the identity, all entries on the path, remedies."""
    found = told.found
    sections = [*_ways(told)]
    if not found.privilege or found.allowed:
        sections.append(_held(found))
    sections += _help(told)
    good = found.allowed if found.privilege else bool(usable(found))
    return Document(
        title=answer(found),
        facts=tuple(fact for fact in facts(told, view) if fact.value),
        sections=tuple(sections),
        closing=tuple(TextLine(note, Style.WARNING, 0, "!") for note in told.notes),
        tone=Style.GOOD if good else Style.ERROR,
    )


def _ways(told: Explained) -> Iterable[Section]:
    found = told.found
    for side in found.decision.sides:
        blocks = tuple(side_blocks(side, found.privilege, told.giving))
        yield Section(_heading(found, side), blocks, "entry")


def _heading(found: Explanation, side: IdentityTrace) -> str:
    if len(found.decision.sides) == 1 and side.principal == found.principal:
        return f"Entries on the path {found.path}"
    whose = "the token itself" if side.principal == found.principal else f"its user {found.owner}"
    return f"Entries on the path {found.path}: {whose}"


def _held(found: Explanation) -> Section:
    held = usable(found)
    if found.has_all and len(held) == len(found.decision.privileges):
        text = f"all {len(held)} privileges"
    else:
        text = ", ".join(held) or "nothing"
    return Section(f"Effective privileges on {found.path}", ((TextLine(text, Style.PLAIN, 2),),))


def _help(told: Explained) -> Iterable[Section]:
    found = told.found
    if told.hidden or not found.privilege or found.allowed:
        return
    login = login_command(found.principal, found.login)
    if login:
        yield Section("To let it log in", (copied([login], 2),))
    if found.privilege in found.decision.privileges or found.login is Login.ABSENT:
        return
    if not found.ways:
        yield Section("What would help", ((TextLine(_hopeless(found), Style.PLAIN, 2),),))
        return
    best, *others = found.ways
    why = ((TextLine(f"{best.why}.", Style.PLAIN, 2),),) if best.why else ()
    lines = toml(best).splitlines()
    yield Section("Recommended, in a state file", (*why, copied(lines, 2)))
    yield Section("The same in a shell on a node", _commands(best, found.privilege))
    for other in others[:1]:
        reason = ((TextLine(f"{other.why}.", Style.PLAIN, 2),),) if other.why else ()
        yield Section("Or instead", (*reason, *_commands(other, found.privilege)))


def _hopeless(found: Explanation) -> str:
    if not check_path(found.path):
        return f"Proxmox VE accepts no ACL entry on {found.path}; grant it further up."
    return "No entry on this path would grant it."


def _commands(remedy: Remediation, privilege: str) -> tuple[Block, ...]:
    remarks = []
    if remedy.extra:
        extra = listed(remedy.extra, MOST)
        remarks.append(f"It grants {extra} in addition to {privilege}.")
    if remedy.others:
        remarks.append(f"It also affects other members of {listed(remedy.others, MOST)}.")
    said = tuple(TextLine(text, Style.WARNING, 2, "!") for text in remarks)
    return (copied(pveum(remedy), 2), said) if said else (copied(pveum(remedy), 2),)


def text(told: Explained, view: View) -> str:
    """For a terminal."""
    return terminal.render(outline(told, view), color=view.color, width=view.width)


def markdown(told: Explained, view: View) -> str:
    """For a ticket or a comment."""
    return comment.render(outline(told, view))


def json(told: Explained, view: View) -> str:
    """For programs; `held`: privileges usable now, none if the login fails."""
    del view
    found = told.found
    content = {
        "principal": found.principal,
        "path": found.path,
        "privilege": found.privilege or None,
        "allowed": found.allowed if found.privilege else None,
        "answer": answer(found),
        "asked": told.asked,
        "before": told.before,
        "hidden": told.hidden,
        "login": str(found.login),
        "owner": found.owner or None,
        "privsep": found.privsep,
        "expires": found.expires,
        "groups": list(found.groups),
        "twins": dict(told.twins),
        "held": list(usable(found)),
        "elsewhere": list(told.elsewhere),
        "sides": [
            {
                "principal": side.principal,
                "privileges": sorted(side.privileges),
                "entries": [entry_json(one) for one in side.entries],
            }
            for side in found.decision.sides
        ],
        "reasons": [_reason_json(reason, found.privilege) for reason in told.reasons],
        "remedies": [_remedy_json(way) for way in found.ways],
        "notes": list(told.notes),
    }
    return document("explanation", FORMAT, content)


def _reason_json(reason: DenialReason, privilege: str) -> dict[str, Any]:
    return {
        "principal": reason.principal,
        "cause": str(DenialCause(reason.cause)),
        "text": reason_text(reason, privilege),
    }


def _remedy_json(remedy: Remediation) -> dict[str, Any]:
    return {
        "why": remedy.why,
        "toml": toml(remedy),
        "pveum": list(pveum(remedy)),
        "extra": list(remedy.extra),
    }
