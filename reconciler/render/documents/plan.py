"""A plan as an outline."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from reconciler.model.change import Action
from reconciler.model.finding import (
    PARTIAL,
    SECRET_NOT_COMPARED,
    UNDECLARED_MEMBER,
    Finding,
    Severity,
)
from reconciler.model.plan import LeftAlone, Plan
from reconciler.render import collapse, terminal
from reconciler.render import markdown as comment
from reconciler.render.document import Document, Fact, Section, Style, TextLine, section, severities
from reconciler.render.documents.plan_steps import step_blocks
from reconciler.render.view import View
from reconciler.text.humanize import count, listed

NO_CHANGES = "No changes. The cluster matches the declared state."
PARTLY = "No changes in the targeted objects. Other objects differ from the declared state."
NOT_COMPARED = (
    "No changes in what can be compared; secrets could not be: `pvectl plan --send-secrets`"
)
CROWDED = "No changes. Undeclared members of declared groups are not removed."
UNFINISHED = "A previous run is unfinished: run `pvectl status`"
MISSING_PRIVILEGE = "MISSING_PRIVILEGE"
FIRST = frozenset({"NEW_WAY_TO_ROOT", "WEAKER_POLICY"})
"""Codes of warnings that come before all others."""
NAMED = 5
"""Number of undeclared objects of a kind that are named."""

_NOUNS = {
    "acl": ("ACL entry", "ACL entries"),
    "backup": ("backup job",),
    "realm_sync": ("realm sync job",),
}

SHORT = 12
"""Number of digits of a digest shown to people."""

_VERBS = {Action.CREATE: "to create", Action.UPDATE: "to change", Action.DELETE: "to delete"}


def outline(plan: Plan, view: View) -> Document:
    """Refusals, what is new, the steps in order, what was known before, and what to do next."""
    parts = []
    lead = (section("Access", plan.access.lines),) if plan.access.lines else ()
    refused, news, known = told(plan.findings, view)
    if plan.steps:
        blocks = step_blocks(plan.steps, view.remarks)
        parts.append(Section("Steps", blocks, unit="step", spaced=True))
    if plan.kept:
        where = f": only in {plan.against}" if plan.against else ""
        parts.append(section(f"Not managed{where}", left_alone(plan.kept)))
    if known:
        parts.append(collapse.known(known, plan.against))
    return Document(
        title=f"Plan: {summary(plan)}",
        facts=tuple(facts(plan)),
        urgent=refused,
        lead=lead,
        findings=news,
        sections=tuple(parts),
        closing=tuple(_closing(plan, view)),
    )


class Told(NamedTuple):
    """Findings in reading order; new ones come first, most urgent first."""

    refused: tuple[Finding, ...]
    news: tuple[Finding, ...]
    known: tuple[Finding, ...]


def told(findings: Iterable[Finding], view: View) -> Told:
    """Alike refusals are one; what is known is news where everything is asked for."""
    found = tuple(findings)
    errors = [one for one in found if one.severity is Severity.ERROR]
    others = [one for one in found if one.severity is not Severity.ERROR]
    fresh = [one for one in others if view.known or not one.known]
    fresh.sort(key=lambda one: (one.severity.rank, one.code not in FIRST))
    return Told(
        collapse.merged(errors),
        tuple(fresh),
        tuple(one for one in others if one.known and not view.known),
    )


def found(findings: Sequence[Finding]) -> str:
    """`1 error, 2 warnings; 8 known`."""
    known = sum(one.known for one in findings)
    new = severities([*collapse.merged(one for one in findings if not one.known)])
    return f"{new}; {known:,} known" if known else new


def left_alone(kept: Iterable[LeftAlone]) -> list[str]:
    """A line per kind and reason, with the first names; the JSON document lists all."""
    lines = []
    for one in kept:
        names = listed([address.id for address in one.addresses], NAMED)
        lines.append(f"{count(one.number, *_NOUNS.get(one.kind, (one.kind,)))}: {one.why}")
        lines[-1] += f": {names}" if names else ""
    return lines


def summary(plan: Plan) -> str:
    """`2 to create, 1 to change, 0 to delete`, or that there are no changes."""
    if not plan.steps:
        return "no changes"
    numbers = ", ".join(f"{plan.count(action):,} {verb}" for action, verb in _VERBS.items())
    return f"{numbers}, in {count(len(plan.steps), 'request')}"


def facts(plan: Plan) -> Iterable[Fact]:
    """The cluster or folder, and the actor of a plan; empty facts are left out."""
    yield Fact("compared with", plan.against) if plan.against else Fact("cluster", plan.cluster)
    if plan.actor:
        yield Fact("actor", plan.actor)
    if plan.source:
        yield Fact("source", plan.source)
    yield Fact("digest", plan.digest[:SHORT])
    yield Fact("findings", found(plan.findings))
    if plan.allowed:
        yield Fact("allowed", ", ".join(plan.allowed))


def _closing(plan: Plan, view: View) -> Iterable[TextLine]:
    refusals = collapse.merged(plan.refusals)
    if not plan.steps:
        yield _nothing_to_do({finding.code for finding in plan.findings}, plan.against)
    if refusals:
        text = f"Plan refused: fix {count(len(refusals), 'error')}. "
        if all(finding.allow for finding in refusals):
            text += "Correct the state files, or allow what is intended with the flags named above."
        else:
            text += f"Correct {'it' if len(refusals) == 1 else 'them'}, then plan again."
        yield TextLine(text, Style.ERROR)
    elif plans_only(plan):
        who = plan.actor or "This caller"
        text = (
            f"{who} may only plan; apply with a token that has what {MISSING_PRIVILEGE} names. "
            "`pvectl bootstrap` prints how to grant it."
        )
        yield TextLine(text, Style.WARNING)
    elif plan.steps and view.next_command and not view.unfinished:
        yield TextLine(f"To apply: {view.next_command}", Style.STRONG, whole=True)
    if view.unfinished:
        yield TextLine(UNFINISHED, Style.WARNING)


def _nothing_to_do(codes: Collection[str], against: str) -> TextLine:
    if PARTIAL in codes:
        return TextLine(PARTLY, Style.WARNING)
    if against:
        return TextLine(f"No changes compared with {against}.", Style.GOOD)
    if SECRET_NOT_COMPARED in codes:
        return TextLine(NOT_COMPARED, Style.WARNING)
    return (
        TextLine(CROWDED, Style.WARNING)
        if UNDECLARED_MEMBER in codes
        else TextLine(NO_CHANGES, Style.GOOD)
    )


def plans_only(plan: Plan) -> bool:
    """Whether the planning actor may not apply, so that the plan is for another one."""
    return any(map(only_about_applying, plan.findings))


def only_about_applying(finding: Finding) -> bool:
    """Whether it says that the actor has only read access."""
    return finding.code == MISSING_PRIVILEGE and finding.severity is not Severity.ERROR


def text(plan: Plan, view: View) -> str:
    """For a terminal."""
    return terminal.render(outline(plan, view), color=view.color, width=view.width)


def markdown(plan: Plan, view: View) -> str:
    """For a comment on a pull request."""
    return comment.render(outline(plan, view))
