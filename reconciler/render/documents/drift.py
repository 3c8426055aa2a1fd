"""Drift in words; stable from run to run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.model.change import Action, Change
from reconciler.model.drift import DIFFERENCES, Drift, DriftClass, DriftItem, Undeclared
from reconciler.model.field_diff import fields
from reconciler.model.records import Logins
from reconciler.render import collapse, terminal
from reconciler.render import markdown as comment
from reconciler.render.document import (
    Block,
    Document,
    Fact,
    Section,
    Style,
    TextLine,
    labelled,
    section,
)
from reconciler.render.documents.drift_items import LEFT_FILES, NAMED, details, reason, ways_to_root
from reconciler.render.documents.plan import UNFINISHED, found, left_alone, told
from reconciler.render.documents.plan_steps import TONES, folded, groups
from reconciler.render.json import document
from reconciler.render.view import View
from reconciler.text.humanize import count, listed, moment

FORMAT = 2

ALIKE = 20
"""Number of objects with the same difference from which they share a block."""

_WIDTH = 9


def outline(drift: Drift, view: View) -> Document:
    """Effect on access, then a section per class, then known undeclared objects."""
    lead = []
    lines: list[str | tuple[str, str]] = [("!", text) for text in ways_to_root(drift)]
    lines += view.impact
    if lines:
        lead.append(section("Access, compared with the declared state", lines))
    since = drift.records.since if drift.records else 0
    for kind in DriftClass:
        changes = [one for one in drift.differences if one.kind is kind]
        alarms = [one for one in drift.ringing if one.kind is kind]
        if changes or alarms:
            blocks = (*(_undeclared(one, since) for one in alarms), *_blocks(changes))
            title = f"{kind.value.capitalize()}: {len(changes) + len(alarms):,}"
            lead.append(Section(title, blocks, unit="object"))
    if drift.gone:
        gone = tuple((TextLine(text, Style.GOOD, 2),) for text in drift.gone)
        title = f"Resolved since the previous report: {len(gone):,}"
        lead.append(Section(title, gone, unit="object"))
    facts = [
        Fact("cluster", drift.cluster),
        *([Fact("source", drift.source)] if drift.source else []),
        Fact("findings", found(drift.findings)),
    ]
    sections = []
    refused, fresh, known = told(drift.findings, view)
    if drift.records is not None:
        sections.append(section("Who and when, as far as recorded", list(_who_and_when(drift))))
    if known:
        sections.append(collapse.known(known))
    if drift.kept:
        sections.append(section("Not managed", left_alone(drift.kept)))
    return Document(
        title=f"Drift: {news(drift)}",
        facts=tuple(facts),
        lead=tuple(lead),
        findings=(*refused, *fresh),
        sections=tuple(sections),
        closing=tuple(_closing(drift, view)),
    )


def news(drift: Drift) -> str:
    """What differs in one line, the worst first; `none` without drift."""
    parts = []
    if drift.broken:
        parts.append(count(drift.broken, "expectation fails", "expectations fail"))
    if drift.failed:
        parts.append(count(drift.failed, "finding that fails", "findings that fail"))
    if drift.roots:
        parts.append(f"{count(len(drift.roots), 'new way', 'new ways')} to root")
    for kind in DriftClass:
        number = drift.number(kind)
        if number:
            parts.append(f"{number:,} {kind.value}")
    if drift.crowded:
        have = count(drift.crowded, "group has", "groups have")
        parts.append(f"{have} undeclared members")
    if drift.expiring:
        parts.append(f"{drift.expiring:,} expiring")
    if drift.due:
        parts.append(f"{drift.due:,} due for rotation")
    if drift.unproven:
        parts.append("backups stale or not drilled in time")
    return ", ".join(parts) or "none"


def _who_and_when(drift: Drift) -> Iterable[str]:
    """What was recorded; what cannot be known is stated once, at the end."""
    found = drift.records
    if found is None:
        return
    there = [one.change.address for one in drift.differences]
    there += [one.address for one in drift.ringing]
    new = sorted(str(one) for one in there if str(one) not in found.known)
    if found.since and new:
        yield f"since the previous report, {moment(found.since)}: {listed(new, NAMED)}"
    for one in found.own[:NAMED]:
        yield f"{one.address}: last applied {moment(one.time)} by {one.owner}"
    for task in found.tasks[:NAMED]:
        ended = "" if task.status == "OK" else f": {task.status}"
        yield f"task {task.kind} {task.subject}, {moment(task.time)}, by {task.user}{ended}"
    if found.logins:
        names = [f"{one.user} ({_when(one)})" for one in found.logins]
        yield f"logins since then: {listed(names, NAMED)}"
    if found.unseen:
        yield found.unseen
    yield (
        "Proxmox VE does not record who made such changes, nor the calls of API tokens, nor what "
        "is done in the shell of a node."
    )


def _when(one: Logins) -> str:
    return moment(one.last) if one.times == 1 else f"{one.times:,} times, last {moment(one.last)}"


def _undeclared(one: Undeclared, since: int) -> Block:
    """`since`: when the report before was made, 0 for none."""
    known = "; new since the previous report" if since else ""
    known = known if one.new else "; known from the previous report"
    why = LEFT_FILES if one.left_files else f"not declared{known}"
    head = _head("extra", str(one.address), Action.DELETE)
    about = labelled(((f.name, f.text) for f in fields(one.spec)), 6, Style.DELETE)
    return (head, TextLine(why, Style.FAINT, 6), *about)


def _head(word: str, text: str, action: Action) -> TextLine:
    return TextLine(text, TONES[action], 2, label=word.ljust(_WIDTH))


def _blocks(items: Sequence[DriftItem]) -> Iterable[Block]:
    """One block per object; many that differ in the same way share one."""
    left = {one.change.address: one.by_hand for one in items if one.by_hand}
    for one in items:
        if one.by_hand:
            top = _head("changed", str(one.change.address), one.change.action)
            yield (top, TextLine(reason(one), Style.FAINT, 6), *_details(one.change, one.by_hand))
    for group in groups([one.change for one in items if one.change.address not in left]):
        first = group[0]
        word = DIFFERENCES[first.action]
        if len(group) >= ALIKE:
            head, names, *_ = folded(group, 2)
            why = TextLine(first.reason.text, Style.FAINT, 6)
            yield (_head(word, head.text, first.action), why, names, *_details(first))
            continue
        for change in group:
            why = TextLine(change.reason.text, Style.FAINT, 6)
            yield (_head(word, str(change.address), change.action), why, *_details(change))


def _details(change: Change, left: Sequence[str] = ()) -> Iterable[TextLine]:
    return labelled(details(change, left), 6, TONES[change.action])


def _closing(drift: Drift, view: View) -> Iterable[TextLine]:
    if drift.differences:
        yield TextLine(
            "Missing: declared, but not in the cluster. Extra: in the cluster, but not declared."
        )
    if any(one.left for one in drift.differences):
        yield TextLine(
            "Plans do not change keys that the files omit: add them with the intended values, or "
            "accept them as they are with `pvectl drift --acknowledge`.",
            Style.STRONG,
        )
    if any(one.observed for one in drift.differences):
        yield TextLine(
            "No plan restores second factors, client keys that the files omit, nor the groups of "
            "users that `exclude` names: ask who changed them, and accept them as they are with "
            "`pvectl drift --acknowledge`.",
            Style.STRONG,
        )
    if any(not one.by_hand for one in drift.differences) and not view.unfinished:
        yield TextLine(
            "`pvectl plan` and `pvectl apply` restore the declared state; declare what is meant "
            "to stay.",
            Style.STRONG,
        )
    if drift.ringing:
        yield TextLine(
            "Plans do not delete undeclared objects: declare them, use [[removed]], or accept "
            "them with `pvectl drift --acknowledge`.",
            Style.STRONG,
        )
    if drift.crowded:
        yield TextLine(
            "Plans do not remove undeclared members (`pvectl explain UNDECLARED_MEMBER`).",
            Style.STRONG,
        )
    if drift.is_quiet:
        yield TextLine("No drift. The cluster matches the declared state.", Style.GOOD)
    if view.unfinished:
        yield TextLine(UNFINISHED, Style.WARNING)


def text(drift: Drift, view: View) -> str:
    """For a terminal."""
    return terminal.render(outline(drift, view), color=view.color, width=view.width)


def markdown(drift: Drift, view: View) -> str:
    """For an issue or a chat message."""
    return comment.render(outline(drift, view))


def json(drift: Drift, view: View) -> str:
    """For programs; `impact`: its effect on access; `records`: who and when."""
    extra = {} if view.impact_json is None else {"impact": view.impact_json}
    if drift.records is not None:
        extra["records"] = drift.records.to_json()
    content = {
        **extra,
        "cluster": drift.cluster,
        "source": drift.source,
        "differences": [one.to_json() for one in drift.differences],
        "undeclared": [one.to_json() for one in drift.undeclared],
        "kept": [one.to_json() for one in drift.kept],
        "roots": [one.to_json() for one in drift.roots],
        "gone": list(drift.gone),
        "findings": [finding.to_json() for finding in drift.findings],
    }
    return document("drift", FORMAT, content)
