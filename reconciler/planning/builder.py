"""Desired and live state -> Plan: changes, order, findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from reconciler.access.analysis.impact import Impact, impact
from reconciler.access.table import AccessTable
from reconciler.kinds import access_table, all_kinds
from reconciler.kinds.shared.step import concerned
from reconciler.model.address import Address
from reconciler.model.change import Change
from reconciler.model.declared import Desired
from reconciler.model.finding import Finding
from reconciler.model.inventory import Facts
from reconciler.model.plan import Plan, Step
from reconciler.model.spec import Spec, State
from reconciler.planning.access_summary import access, new_ways_to_root, real_paths, surprises
from reconciler.planning.checks import guard
from reconciler.planning.checks.expectations import expectations
from reconciler.planning.checks.lockout import lockout
from reconciler.planning.checks.preflight import preflight
from reconciler.planning.diff import DiffResult, diff, narrow
from reconciler.planning.lint import lint_declared
from reconciler.planning.ordering.exposure_tracker import ExposureTracker
from reconciler.planning.ordering.order import order
from reconciler.planning.replacement import with_restored_dependents

UNDECLARED = "UNDECLARED"
"""A name that the files alone cannot judge; here the cluster decides."""


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What is to be planned: where, by whom (empty: nobody in particular), when, and how far.

    `targets` are globs over addresses; `allowed` the refusals that the operator lets pass by name.
    `now` in Unix seconds. `changed_secrets`: parameters whose secret is another one than was sent
    last, by object. `identity`: the fingerprint of the cluster's CA, where it is told. `files`:
    SHA-256 of each file of the state folder.
    """

    cluster: str
    actor: str
    now: int
    source: str = ""
    targets: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    changed_secrets: Mapping[Address, tuple[str, ...]] = field(default_factory=dict)
    identity: str = ""
    files: Mapping[str, str] = field(default_factory=dict)


class PlanResult(NamedTuple):
    """A plan, and the two sides of it for everything that explains its effect."""

    plan: Plan
    before: AccessTable
    after: AccessTable
    state: State
    """the live state as it will be"""
    impact: Impact
    """who gains and who loses which privileges where"""


def build_plan(desired: Desired, live: State, facts: Facts, question: PlanRequest) -> PlanResult:
    """The plan that turns `live` into `desired`; the same inputs always give the same plan."""
    difference = diff(desired, live, now=question.now, changed_secrets=question.changed_secrets)
    changes = difference.changes
    if question.targets:
        changes = narrow(changes, question.targets, live)
    changes = with_restored_dependents(changes, live)
    return judged(desired, live, facts, question, difference, changes)


def judged(
    desired: Desired,
    live: State,
    facts: Facts,
    question: PlanRequest,
    difference: DiffResult,
    changes: Sequence[Change],
    saved: Sequence[Step] = (),
) -> PlanResult:
    """These changes with everything that is to be said about them.

    `saved`: the steps that carry them, in the order in which they are to run; put in order here
    where there are none.
    """
    planned = apply_changes(live, changes)
    before = access_table(live)
    after = access_table(planned) if changes else before
    paths = real_paths(planned, facts)
    steps = tuple(saved)
    if not steps:
        steps = order(
            changes, ExposureTracker(before, after, paths, question.now) if changes else None
        )
    effect = impact(before, after, paths, question.now)
    findings = [
        *(one for one in desired.findings if one.code != UNDECLARED),
        *difference.findings,
        *_guards(desired, live, planned, facts, changes, steps),
        *surprises(effect),
        *lint_declared(desired, planned, after, paths, question.now, complete=True),
        *expectations(after, desired.expectations, paths, question.now),
    ]
    if question.targets:
        findings += guard.unmatched_targets(
            question.targets, {*desired.objects, *desired.removed, *live}
        )
    if effect.delta:
        findings += new_ways_to_root(before, after)
    if question.actor:
        findings += preflight(question.actor, steps, before)
        policy = desired.policy.lockout
        findings += lockout(policy, question.actor, before, steps, question.now)
    allowed = sorted(guard.allow(findings, question.allowed), key=Finding.sort_key)
    plan = Plan(
        cluster=question.cluster,
        actor=question.actor,
        source=question.source,
        steps=steps,
        findings=tuple(dict.fromkeys(allowed)),
        kept=difference.kept,
        seen=tuple((address, live.get(address)) for address in concerned(changes)),
        allowed=question.allowed,
        passed=guard.passed(findings, question.allowed),
        files=question.files,
        access=access(effect, after, question.now),
        identity=question.identity,
    )
    return PlanResult(plan, before, after, planned, effect)


def apply_changes(live: State, changes: Iterable[Change]) -> dict[Address, Spec]:
    """`live` as it looks after the changes."""
    state = dict(live)
    for change in changes:
        if change.after is None:
            state.pop(change.address, None)
        else:
            state[change.address] = change.after
    return state


def _guards(
    desired: Desired,
    live: State,
    planned: State,
    facts: Facts,
    changes: Sequence[Change],
    steps: Sequence[Step],
) -> Iterable[Finding]:
    policy = desired.policy
    yield from guard.limits(policy, changes, live)
    yield from guard.protected(policy, changes)
    yield from guard.irreversible(steps)
    yield from guard.refused_by_kind(changes, live)
    yield from guard.dangling_members(changes, facts.ghosts)
    yield from guard.undeclared_members(desired, planned)
    yield from guard.missing_references(changes, planned, desired.objects)
    if changes:
        yield from guard.capacity(planned)
    for kind in all_kinds().values():
        yield from kind.survey(planned, facts)
