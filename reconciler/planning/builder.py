"""Desired and live state -> Plan: changes, order, findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from reconciler.access.analysis.impact import Impact, impact
from reconciler.access.any_member import with_any_members
from reconciler.access.table import AccessTable
from reconciler.kinds import access_delta, access_table, kind_of
from reconciler.kinds.shared.step import concerned
from reconciler.model.address import Address
from reconciler.model.change import Change
from reconciler.model.declared import Desired
from reconciler.model.finding import Finding, Severity
from reconciler.model.inventory import Facts
from reconciler.model.plan import Plan, Step
from reconciler.model.spec import Spec, State
from reconciler.planning.backups.exempt_guests import unsaved
from reconciler.planning.changes.diff import DiffResult, diff, narrow
from reconciler.planning.changes.removed_globs import with_matching
from reconciler.planning.changes.replacement import with_restored_dependents
from reconciler.planning.checks import run_checks
from reconciler.planning.checks.allow import allow, passed
from reconciler.planning.checks.context import PlanContext
from reconciler.planning.checks.targets import partial
from reconciler.planning.findings.access_summary import access, real_paths, sessions
from reconciler.planning.findings.known import told_as_known
from reconciler.planning.findings.once_per_table import once_per_table
from reconciler.planning.findings.places import with_places
from reconciler.planning.lint import set_aside
from reconciler.planning.ordering.exposure_tracker import ExposureTracker
from reconciler.planning.ordering.order import order
from reconciler.planning.request import PlanRequest

UNDECLARED = "UNDECLARED"
"""A name that only the cluster can resolve."""


class PlanResult(NamedTuple):
    """A plan with the access before and after it, from which its effect is explained."""

    plan: Plan
    before: AccessTable
    after: AccessTable
    bare: tuple[AccessTable, AccessTable]
    """the same two without those who stand for the members of empty groups"""
    state: State
    """the live state after the plan"""
    impact: Impact
    """gained and lost privileges by principal and path"""
    guests: Mapping[str, str]
    """ACL path -> name"""


def build_plan(desired: Desired, live: State, facts: Facts, request: PlanRequest) -> PlanResult:
    """Plan the changes from `live` to `desired`; deterministic."""
    desired = with_matching(desired, live)
    difference = diff(
        desired,
        live,
        now=request.now,
        changed_secrets=request.changed_secrets,
        sent_again=request.sent_again,
        earlier=request.earlier,
        where=request.against or "the cluster",
    )
    changes = difference.changes
    if request.targets:
        changes = narrow(changes, request.targets, live)
    left_out = partial(difference.changes, changes)
    difference = difference._replace(findings=(*difference.findings, *left_out))
    changes = with_inherited(with_restored_dependents(changes, live), live)
    return judged(desired, live, facts, request, difference, changes)


def judged(
    desired: Desired,
    live: State,
    facts: Facts,
    request: PlanRequest,
    difference: DiffResult,
    changes: Sequence[Change],
    saved: Sequence[Step] = (),
) -> PlanResult:
    """A plan of these changes with all its findings.

    `saved`: the steps of a saved plan, in their order; without them, the steps are ordered here.
    """
    planned = apply_changes(live, changes)
    before = access_table(live, facts.pve, facts.strays)
    after = access_table(planned, facts.pve, facts.strays) if changes else before
    paths = real_paths(planned, facts)
    unsaved_guests = unsaved(desired, planned, facts, request.now)
    facts = replace(facts, unsaved=unsaved_guests.guests)
    steps = tuple(saved) or _ordered(changes, before, after, paths, request.now)
    one, two = with_any_members((before, after), request.now)
    filled = (one, two)
    effect = impact(*filled, paths, request.now)
    context = PlanContext(
        desired,
        request,
        live,
        planned,
        facts,
        changes,
        steps,
        before,
        after,
        [access_delta(step.changes) for step in steps],
        filled,
        paths,
        effect,
    )
    found = (*_of_files(desired, facts), *difference.findings, *unsaved_guests.findings)
    findings = with_places((*found, *run_checks(context)), desired, {**live, **planned})
    plan = Plan(
        cluster=request.cluster,
        actor=request.actor,
        source=request.source,
        steps=steps,
        findings=_told(findings, desired, request, changes, complete=facts.complete),
        kept=difference.kept,
        seen=tuple((address, live.get(address)) for address in concerned(changes)),
        allowed=request.allowed,
        passed=passed(findings, request.allowed),
        files=request.files,
        access=access(effect, filled[1], request.now, sessions(changes, planned)),
        identity=request.identity,
        against=request.against,
    )
    return PlanResult(plan, *filled, (before, after), planned, effect, _names(facts))


def _of_files(desired: Desired, facts: Facts) -> Iterable[Finding]:
    """What the files alone show; a whole cluster shows which names are wrong."""
    return (one for one in desired.findings if one.code != UNDECLARED or not facts.complete)


def _ordered(
    changes: Sequence[Change],
    before: AccessTable,
    after: AccessTable,
    paths: Iterable[str],
    now: int,
) -> tuple[Step, ...]:
    return order(changes, ExposureTracker(before, after, paths, now) if changes else None)


def _names(facts: Facts) -> dict[str, str]:
    """ACL path of each guest that has a name -> the name."""
    return {f"/vms/{vmid}": one.name for vmid, one in facts.guests.items() if one.name}


def _told(
    findings: Sequence[Finding],
    desired: Desired,
    request: PlanRequest,
    changes: Sequence[Change],
    *,
    complete: bool,
) -> tuple[Finding, ...]:
    """The findings of a plan in order, without what is waived."""
    allowed = allow(_said_once(findings), request.allowed)
    kept = set_aside(allowed, desired, request.now, complete=complete)
    told = sorted(told_as_known(kept, changes, request.fresh), key=Finding.sort_key)
    return once_per_table(dict.fromkeys(told))


_SAID_BY = {"LINT_ORPHAN": {"NOT_THERE", "UNKNOWN_NODE"}, "JOB_ID": {"JOB_ID"}}
"""Warnings of an object that need not be shown beside another finding of it, or an error."""


def _said_once(findings: Sequence[Finding]) -> Iterable[Finding]:
    said = {(one.code, one.address, one.severity) for one in findings if one.address}
    for one in findings:
        others = _SAID_BY.get(one.code, set()) if one.severity is Severity.WARNING else set()
        again = (
            (code, one.address, severity)
            for code in others
            for severity in (Severity.WARNING, Severity.ERROR)
            if code != one.code or severity is Severity.ERROR
        )
        if said.isdisjoint(again):
            yield one


def with_inherited(changes: Sequence[Change], live: State) -> tuple[Change, ...]:
    """The changes with what their objects newly take from others."""
    planned = apply_changes(live, changes)
    return tuple(_with_inherited(change, live, planned) for change in changes)


def _with_inherited(change: Change, live: State, planned: State) -> Change:
    if change.after is None:
        return change
    inherits = kind_of(change.address).links.inherits
    before = {} if change.before is None else inherits(change.before, live)
    after = inherits(change.after, planned)
    new = tuple(sorted((k, v) for k, v in after.items() if before.get(k) != v))
    return change._replace(reason=change.reason._replace(inherits=new)) if new else change


def apply_changes(live: State, changes: Iterable[Change]) -> dict[Address, Spec]:
    """`live` after the changes."""
    state = dict(live)
    for change in changes:
        if change.after is None:
            state.pop(change.address, None)
        else:
            state[change.address] = change.after
    return state
