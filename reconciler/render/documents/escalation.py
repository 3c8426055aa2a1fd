"""Principals that can become root, with the steps and their proofs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.access.contents import ROOT, TOKEN
from reconciler.access.escalation.search import Escalation
from reconciler.access.escalation.step import EscalationStep
from reconciler.access.trace import TracedEntry
from reconciler.render import markdown as comment
from reconciler.render import terminal
from reconciler.render.document import Block, Document, Fact, Section, Style, TextLine
from reconciler.render.documents.acl_entries import entries_text
from reconciler.render.json import document
from reconciler.render.view import View
from reconciler.text.humanize import count, listed

FORMAT = 1
_MOST = 6
"""Number of principals that one line names."""


@dataclass(frozen=True, slots=True)
class Ways:
    """`ways`: all ways to root; `meant`: principals intended to; `asked`: the source.

    `proofs`: the entries that make a principal root without any step.
    """

    ways: tuple[Escalation, ...]
    meant: frozenset[str]
    asked: str
    proofs: Mapping[str, tuple[TracedEntry, ...]] = field(default_factory=dict)

    @property
    def unmeant(self) -> tuple[str, ...]:
        """Principals that certainly can, unintended."""
        able = {who for way in self.ways if way.sure for who in way.principals}
        return tuple(sorted(able - self.meant))


def outline(found: Ways) -> Document:
    """Principals that are root, can certainly become root, or possibly can."""
    already = [way for way in found.ways if not way.steps]
    certain = [way for way in found.ways if way.steps and way.sure]
    possible = [way for way in found.ways if not way.sure]
    sections = []
    if already:
        sections.append(Section("Root already", tuple(_roots(found, already)), "principal"))
    for title, ways, tone in (
        ("Can become root", certain, Style.ERROR),
        ("May become root, through the operating system of a node", possible, Style.WARNING),
    ):
        if ways:
            blocks = tuple(_way(found, way, tone) for way in ways)
            sections.append(Section(title, blocks, "way", spaced=True))
    return Document(
        title=_title(already, certain, possible),
        facts=(
            Fact("asked", found.asked),
            Fact(
                "intended",
                f"{listed(sorted(found.meant), _MOST)} (root@pam, [lockout] break_glass)",
            ),
        ),
        sections=tuple(sections),
        closing=tuple(_closing(found)),
    )


def _number(ways: Iterable[Escalation]) -> int:
    return len({who for way in ways for who in way.principals})


def _title(
    already: Sequence[Escalation], certain: Sequence[Escalation], possible: Sequence[Escalation]
) -> str:
    is_root = _number(already)
    text = f"{count(is_root, 'principal')} {'is' if is_root == 1 else 'are'} root"
    if certain:
        text += f", {_number(certain)} more can become root"
    if possible:
        text += f", {_number(possible)} more may"
    return f"{text}." if certain or possible else f"{text}; no other can become root."


def _roots(found: Ways, already: Iterable[Escalation]) -> Iterator[Block]:
    names = sorted({who for way in already for who in way.principals})
    wide = max(map(len, names))
    for who in names:
        meant = who in found.meant
        tone = Style.PLAIN if meant else Style.WARNING
        label = f"{' ' if meant else '!'} {who.ljust(wide)}  "
        yield (TextLine(_root_proof(who, found.proofs.get(who, ())), tone, 2, label=label),)


def _root_proof(principal: str, entries: Sequence[TracedEntry]) -> str:
    if principal == ROOT:
        return "has every privilege everywhere"
    return f"by {entries_text(entries)}" if entries else f"as a token of {ROOT}"


def _way(found: Ways, way: Escalation, tone: Style) -> Block:
    who = listed(way.principals, _MOST)
    meant = " (intended)" if set(way.principals) <= found.meant else ""
    lines = [TextLine(f"{who}, in {count(len(way.steps), 'step')}{meant}", tone, 2)]
    for number, step in enumerate(way.steps, 1):
        lines.append(TextLine(str(step), Style.PLAIN, 4, label=f"{number}. "))
        lines.append(TextLine(_proof(step), Style.FAINT, 7))
    close = _close(way)
    if close:
        lines.append(TextLine(close, Style.PLAIN, 4, label="to close it: "))
    return tuple(lines)


def _proof(step: EscalationStep) -> str:
    if step.proof:
        return f"by {entries_text(step.proof)}"
    return "by privileges gained in earlier steps"


def _close(way: Escalation) -> str:
    """How to close a way: remove the entries of its first step.

    A token with privilege separation needs its own and its user's: without either it is closed.
    """
    proof = way.steps[0].proof
    if not proof:
        return ""
    own = [entry for entry in proof if entry.kind == TOKEN]
    others = [entry for entry in proof if entry.kind != TOKEN]
    entries = ", or ".join(entries_text(part) for part in (own, others) if part)
    return f"remove {entries}, or grant a role without {way.steps[0].privilege}"


def _closing(found: Ways) -> Iterable[TextLine]:
    if found.unmeant:
        names = listed(found.unmeant, _MOST)
        are = "is" if len(found.unmeant) == 1 else "are"
        yield TextLine(f"Unintended: {names} {are} root, or can become it.", Style.ERROR)
    else:
        yield TextLine("No principal is or can become root except the intended ones.", Style.GOOD)
    codes = dict.fromkeys(str(step.way) for way in found.ways for step in way.steps)
    if codes:
        pages = ", ".join(f"`pvectl explain {code}`" for code in codes)
        yield TextLine(f"How the steps work: {pages}.")


def text(found: Ways, view: View) -> str:
    """For a terminal."""
    return terminal.render(outline(found), color=view.color, width=view.width)


def markdown(found: Ways, view: View) -> str:
    """For a review."""
    del view
    return comment.render(outline(found))


def json(found: Ways, view: View) -> str:
    """For programs."""
    del view
    content = {
        "asked": found.asked,
        "meant": sorted(found.meant),
        "unmeant": list(found.unmeant),
        "ways": [way.to_json() for way in found.ways],
    }
    return document("escalation", FORMAT, content)
