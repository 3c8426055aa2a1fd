"""Principals that have a privilege on a path, and the entries that grant it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from reconciler.access.analysis.unexpected import entry_json
from reconciler.access.any_member import stands_for
from reconciler.access.contents import ROOT, split_token
from reconciler.access.explain.explain import PrivilegeHolder
from reconciler.access.login import Login
from reconciler.render import markdown as comment
from reconciler.render import terminal
from reconciler.render.document import Block, Document, Fact, Section, Style, TextLine
from reconciler.render.documents.acl_entries import entries_text, login_text
from reconciler.render.json import document
from reconciler.render.view import View
from reconciler.text.humanize import counts

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Holders:
    """All holders of `privilege` on `path`; `asked` is the source of the answer."""

    privilege: str
    path: str
    asked: str
    holders: tuple[PrivilegeHolder, ...]
    notes: tuple[str, ...] = ()


def outline(found: Holders) -> Document:
    """Users, tokens, then those that cannot log in now."""
    joining = [one for one in found.holders if stands_for(one.principal)]
    able = [one for one in found.holders if one.login is Login.ACTIVE and one not in joining]
    users = [one for one in able if split_token(one.principal) is None]
    tokens = [one for one in able if split_token(one.principal) is not None]
    out = [one for one in found.holders if one.login is not Login.ACTIVE and one not in joining]
    groups = (
        ("Users", users, Style.PLAIN),
        ("Tokens", tokens, Style.PLAIN),
        ("Future members", joining, Style.PLAIN),
        ("Not now, since they cannot log in", out, Style.FAINT),
    )
    sections = [
        Section(title, tuple(_rows(part, tone)), "principal")
        for title, part, tone in groups
        if part
    ]
    number = counts([(len(users), "user"), (len(tokens), "token")]).replace(", ", " and ")
    verb = "has" if len(able) == 1 or not able else "have"
    return Document(
        title=f"{number or 'Nobody'} {verb} {found.privilege} on {found.path}.",
        facts=(Fact("asked", found.asked),),
        sections=tuple(sections),
        closing=tuple(TextLine(note, Style.WARNING, 0, "!") for note in found.notes),
    )


def _rows(holders: Iterable[PrivilegeHolder], tone: Style) -> Iterator[Block]:
    rows = list(holders)
    wide = max(len(one.principal) for one in rows)
    for one in rows:
        yield (TextLine(_how(one), tone, 2, label=f"{one.principal.ljust(wide)}  "),)


def _how(holder: PrivilegeHolder) -> str:
    if holder.principal == ROOT:
        return "has every privilege everywhere"
    text = f"by {entries_text(holder.entries)}" if holder.entries else f"as a token of {ROOT}"
    if holder.login is Login.ACTIVE:
        return text
    return f"{login_text(holder.login, holder.principal)}; {text}"


def text(found: Holders, view: View) -> str:
    """For a terminal."""
    return terminal.render(outline(found), color=view.color, width=view.width)


def markdown(found: Holders, view: View) -> str:
    """For a ticket or a comment."""
    del view
    return comment.render(outline(found))


def json(found: Holders, view: View) -> str:
    """For programs."""
    del view
    content = {
        "privilege": found.privilege,
        "path": found.path,
        "asked": found.asked,
        "holders": [
            {
                "principal": one.principal,
                "login": str(one.login),
                "can": one.login is Login.ACTIVE,
                "entries": [entry_json(entry) for entry in one.entries],
            }
            for one in found.holders
        ],
        "notes": list(found.notes),
    }
    return document("holders", FORMAT, content)
