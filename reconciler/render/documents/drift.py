"""What differs from the declared state, classified; stable from run to run."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from reconciler.kinds import references
from reconciler.model.address import Address
from reconciler.model.change import Action, Cause, Change
from reconciler.model.finding import UNDECLARED_MEMBER, Finding
from reconciler.model.plan import Plan
from reconciler.render import markdown as comment
from reconciler.render import terminal
from reconciler.render.document import (
    Block,
    Document,
    Fact,
    Section,
    Style,
    TextLine,
    section,
    severities,
)
from reconciler.render.documents.plan import UNFINISHED, only_about_applying
from reconciler.render.documents.plan_steps import MARKS, TONES, detail_lines, folded, groups
from reconciler.render.json import document
from reconciler.render.view import View
from reconciler.text.humanize import count

FORMAT = 1

ALIKE = 20
"""From so many objects on that differ in the same way, they share a block."""


class DriftClass(StrEnum):
    """Where a difference comes from, as far as the two states can tell."""

    CHANGED = "changed in the cluster"
    NOT_APPLIED = "declared but not applied"
    UNDECLARED = "undeclared inside the managed scope"
    EXPIRED = "expired grant"

    @property
    def code(self) -> str:
        """For programs."""
        return self.name.lower().replace("_", "-")


_CLASSES = {
    Cause.DIFFERS: DriftClass.CHANGED,
    Cause.MISSING: DriftClass.NOT_APPLIED,
    Cause.REMOVED: DriftClass.NOT_APPLIED,
    Cause.MOVED: DriftClass.NOT_APPLIED,
    Cause.UNDECLARED: DriftClass.UNDECLARED,
    Cause.EXPIRED: DriftClass.EXPIRED,
}


class DriftItem(NamedTuple):
    """One object: `change` leads from what is there to what is declared."""

    kind: DriftClass
    change: Change

    def to_json(self) -> dict[str, Any]:
        return {"class": self.kind.code, **self.change.to_json()}


@dataclass(frozen=True, slots=True)
class Drift:
    """`differences` by class and address; `gone`: addresses that an earlier report still named."""

    cluster: str
    source: str = ""
    differences: tuple[DriftItem, ...] = ()
    findings: tuple[Finding, ...] = ()
    gone: tuple[str, ...] = ()

    @property
    def crowded(self) -> int:
        """How many groups have members that no file names: drift that no plan takes away."""
        return sum(finding.code == UNDECLARED_MEMBER for finding in self.findings)

    @classmethod
    def of(
        cls,
        plan: Plan,
        *,
        applied: Container[Address] = (),
        previous: Mapping[str, Any] | None = None,
    ) -> Drift:
        """The changes of a plan as drift.

        `applied`: objects that an earlier run is known to have brought into force; where one is
        missing it was taken away in the cluster. `previous`: the JSON document of an earlier
        report.
        """
        changes = _merged(plan.changes)
        found = [DriftItem(_class(one, changes, applied), one) for one in changes.values()]
        order = list(DriftClass)
        found.sort(key=lambda one: (order.index(one.kind), one.change.address))
        there = {str(address) for address in changes}
        before = [str(one["address"]) for one in (previous or {}).get("differences", ())]
        gone = tuple(sorted(set(before) - there))
        findings = tuple(one for one in plan.findings if not only_about_applying(one))
        return cls(plan.cluster, plan.source, tuple(found), findings, gone)


def _merged(changes: Iterable[Change]) -> dict[Address, Change]:
    """One change per object, however many requests it takes."""
    merged: dict[Address, Change] = {}
    for change in changes:
        earlier = merged.get(change.address)
        merged[change.address] = change._replace(before=earlier.before) if earlier else change
    return {address: c for address, c in merged.items() if c.before != c.after}


def _class(
    change: Change, changes: Mapping[Address, Change], applied: Container[Address]
) -> DriftClass:
    """What hangs on an object that goes is of the class of that object."""
    cause = change.reason.cause
    if cause is Cause.MISSING and change.address in applied:
        return DriftClass.CHANGED
    if cause is not Cause.DEPENDENT or change.before is None:
        return _CLASSES.get(cause, DriftClass.NOT_APPLIED)
    owners = [
        changes[ref]
        for ref in references(change.address, change.before)
        if ref in changes and changes[ref].action is Action.DELETE
    ]
    return _class(owners[0], changes, applied) if owners else DriftClass.NOT_APPLIED


def outline(drift: Drift, view: View) -> Document:
    """What it does to access, then a section per class.

    Every line of a class leads from what is there to what is declared.
    """
    number = len(drift.differences)
    sections = []
    if view.impact and number:
        sections.append(section("Access, compared with the declared state", view.impact))
    for kind in DriftClass:
        changes = [one.change for one in drift.differences if one.kind is kind]
        if changes:
            title = f"{kind.value.capitalize()}: {len(changes):,}"
            sections.append(Section(title, tuple(_blocks(changes)), unit="object"))
    if drift.gone:
        lines = tuple((TextLine(text, Style.GOOD, 2),) for text in drift.gone)
        title = f"No longer different since the report before: {len(lines):,}"
        sections.append(Section(title, lines, unit="object"))
    facts = [
        Fact("cluster", drift.cluster),
        *([Fact("source", drift.source)] if drift.source else []),
        Fact("findings", severities(drift.findings)),
    ]
    return Document(
        title=f"Drift: {_title(drift)}",
        facts=tuple(facts),
        findings=drift.findings,
        sections=tuple(sections),
        closing=tuple(_closing(drift, view)),
    )


def _title(drift: Drift) -> str:
    parts = []
    if drift.differences:
        differ = count(len(drift.differences), "object differs", "objects differ")
        parts.append(f"{differ} from the declared state")
    if drift.crowded:
        have = count(drift.crowded, "group has", "groups have")
        parts.append(f"{have} members that no state file names")
    return ", and ".join(parts) or "none"


def _blocks(changes: Sequence[Change]) -> Iterable[Block]:
    """One block per object; many that differ in the same way share one."""
    for group in groups(changes):
        if len(group) >= ALIKE:
            head, *rest = folded(group, 2)
            yield (head, TextLine(group[0].reason.text, Style.FAINT, 6), *rest)
            continue
        for change in group:
            head = TextLine(str(change.address), TONES[change.action], 2, MARKS[change.action])
            why = TextLine(change.reason.text, Style.FAINT, 6)
            yield (head, why, *detail_lines(change, 6))


def _closing(drift: Drift, view: View) -> Iterable[TextLine]:
    if drift.differences:
        yield TextLine(
            "Lines read: in the cluster → declared. PVE does not record who changed what."
        )
    if drift.differences and not view.unfinished:
        yield TextLine(
            "`pvectl plan` and `pvectl apply` bring the declared state back; what is meant to stay "
            "is to be declared.",
            Style.STRONG,
        )
    if drift.crowded:
        yield TextLine(
            "No plan takes members away that no file names (`pvectl explain UNDECLARED_MEMBER`).",
            Style.STRONG,
        )
    if not drift.differences and not drift.crowded:
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
    """For programs, and for `previous` of the next report; `impact`: what it does to access."""
    extra = {} if view.impact_json is None else {"impact": view.impact_json}
    content = {
        **extra,
        "cluster": drift.cluster,
        "source": drift.source,
        "differences": [one.to_json() for one in drift.differences],
        "gone": list(drift.gone),
        "findings": [finding.to_json() for finding in drift.findings],
    }
    return document("drift", FORMAT, content)
