"""The changes of a plan as drift: the origin of each, and what the next report needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from reconciler.kinds import fingerprint, references
from reconciler.model.address import Address
from reconciler.model.change import Action, Cause, Change
from reconciler.model.declared import Desired
from reconciler.model.drift import (
    EXPECT,
    UNKNOWN,
    Drift,
    DriftClass,
    DriftItem,
    Undeclared,
    WayToRoot,
)
from reconciler.model.drift_memory import Memory, Observed
from reconciler.model.finding import Finding
from reconciler.model.plan import Plan
from reconciler.model.spec import Spec
from reconciler.planning.checks.expectations import CORRECT_NAME
from reconciler.planning.findings.places import place_of
from reconciler.planning.observed import merged

_NOT_DECLARED = frozenset({Cause.UNDECLARED, Cause.REMOVED, Cause.MOVED, Cause.DEPENDENT})
"""Why a plan changes what no file declares."""

_HOLDS = "it holds as declared: `pvectl plan` shows what restores that"

_TO_COME = "it is declared, but not in the cluster: `pvectl plan` shows what creates it"

_NOTHING: Mapping[Address, Iterable[str]] = MappingProxyType({})


def drift_of(
    plan: Plan,
    *,
    memory: Memory | None = None,
    findings: Iterable[Finding] | None = None,
    undeclared: Sequence[Undeclared] = (),
    roots: Sequence[WayToRoot] = (),
    failing: Iterable[str] = (),
    left: Mapping[Address, Iterable[str]] = _NOTHING,
) -> Drift:
    """The changes of a plan as drift; `findings` in the place of those of the plan.

    `left`: what the plan takes from memory, since no file gives it (`unspecified.as_left`).
    """
    known = memory or Memory()
    changes = _merged(plan.changes)
    found = [_item(one, changes, known, left.get(one.address, ())) for one in changes.values()]
    there = {str(address) for address in changes}
    there.update(str(one.address) for one in undeclared)
    return Drift(
        plan.cluster,
        plan.source,
        _sorted(found),
        tuple(plan.findings if findings is None else findings),
        tuple(sorted(set(known.differences) - there)),
        tuple(undeclared),
        plan.kept,
        tuple(roots),
        frozenset(failing),
    )


def held_as_declared(failing: Iterable[Finding], planned: Iterable[Finding]) -> Iterable[Finding]:
    """Expectations that fail in the cluster; those that hold once it is as declared say so, and no
    other way to fix them. `planned`: the findings of the plan."""
    still = [(one.source, one.message) for one in planned if one.code == EXPECT]
    places = {source for source, _ in still}
    for one in failing:
        if one.source not in places:
            cause = one.hint.partition("\n")[0] if one.hint.startswith("given by ") else ""
            yield one._replace(hint="\n".join(filter(None, (cause, _HOLDS))))
        elif one.hint == CORRECT_NAME and (one.source, one.message) not in still:
            yield one._replace(hint=_TO_COME)
        else:
            yield one


def with_observed(drift: Drift, items: Iterable[DriftItem]) -> Drift:
    """The drift with what no file can give and is not as it was; an undeclared object that raises
    an alarm is shown as it is anyway."""
    ringing = {one.address for one in drift.ringing}
    more = [one for one in items if one.change.address not in ringing]
    here = {str(one.change.address) for one in more}
    return replace(
        drift,
        differences=_sorted(merged(drift.differences, more)),
        gone=tuple(one for one in drift.gone if one not in here),
    )


def _sorted(found: Iterable[DriftItem]) -> tuple[DriftItem, ...]:
    """By class, then by address."""
    order = list(DriftClass)
    return tuple(sorted(found, key=lambda one: (order.index(one.kind), one.change.address)))


def placed(drift: Drift, desired: Desired) -> Drift:
    """The same, each difference with its place in the files."""
    found = (
        one._replace(
            source=place_of(one.change.address, one.change.before or one.change.after, desired)
        )
        for one in drift.differences
    )
    return replace(drift, differences=tuple(found))


def _item(
    change: Change, changes: Mapping[Address, Change], known: Memory, names: Iterable[str]
) -> DriftItem:
    """Where nothing but what no file gives differs, it was changed in the cluster: the memory says
    how it was."""
    left = _differing(change, names)
    if _is_all(change, left):
        return DriftItem(DriftClass.CHANGED, change, left)
    return DriftItem(_class(change, changes, known), change, left)


def _is_all(change: Change, left: Iterable[str]) -> bool:
    """Whether nothing else of the object differs."""
    before, after = change.before, change.after
    if not left or before is None or after is None:
        return False
    return before.with_parts(after.parts(left)) == after


def about_the_cluster(plan: Plan, left: Mapping[Address, Iterable[str]]) -> Iterable[Finding]:
    """The findings of a plan without those about changes that no real plan makes, since no file
    gives what differs; lint is about the objects."""
    undone = {
        address
        for address, change in _merged(plan.changes).items()
        if _is_all(change, _differing(change, left.get(address, ())))
    }
    for one in plan.findings:
        if one.address not in undone or one.code.startswith("LINT_"):
            yield one


def _differing(change: Change, names: Iterable[str]) -> tuple[str, ...]:
    before, after = change.before, change.after
    if before is None or after is None:
        return ()
    old, new = before.parts(names), after.parts(names)
    return tuple(sorted(name for name in old if old[name] != new[name]))


def remembered(
    drift: Drift,
    memory: Memory,
    declared: Mapping[Address, Spec],
    left: Mapping[Address, Mapping[str, Any]],
    observed: Observed,
    now: int,
) -> Memory:
    """What the next report has to know; `declared`: as they are in the cluster, where they are;
    `left`: what no file gives (`unspecified.to_remember`), `observed`: what none can give.

    An object in sync is recorded as such; one that differs keeps its earlier record. What no file
    declares has none: it would be taken for something that left the files.
    """
    open_ = {one.change.address: one.kind for one in drift.differences}
    foreign = {
        one.change.address
        for one in drift.differences
        if one.change.reason.cause in _NOT_DECLARED
        or (one.observed and one.change.address not in declared)
    }
    baseline = dict(memory.baseline)
    baseline |= {a: fingerprint(a, spec) for a, spec in declared.items() if a not in open_}
    for address, kind in open_.items():
        if address in foreign:
            continue
        if kind is DriftClass.UNKNOWN or (address not in baseline and not memory.complete):
            baseline[address] = UNKNOWN
    found = {one.address: fingerprint(one.address, one.spec) for one in drift.undeclared}
    kept = {a: old for a, old in memory.acknowledged.items() if found.get(a) == old}
    named = (*map(str, open_), *(str(one.address) for one in drift.ringing))
    return Memory(
        time=now,
        differences=tuple(sorted(named)),
        baseline=baseline,
        left=left,
        complete=True,
        undeclared=found,
        acknowledged=kept,
        observed=observed,
    )


def _merged(changes: Iterable[Change]) -> dict[Address, Change]:
    """One change per object, however many requests it takes."""
    merged: dict[Address, Change] = {}
    for change in changes:
        earlier = merged.get(change.address)
        merged[change.address] = change._replace(before=earlier.before) if earlier else change
    return {address: c for address, c in merged.items() if c.before != c.after}


def _class(change: Change, changes: Mapping[Address, Change], known: Memory) -> DriftClass:
    """Dependents of a deleted object get the class of that object."""
    cause = change.reason.cause
    if cause is Cause.EXPIRED:
        return DriftClass.EXPIRED
    if cause is Cause.UNDECLARED:
        left_files = _as_left(change, known)
        return DriftClass.CHANGED_IN_FILES if left_files else DriftClass.UNDECLARED
    if cause is Cause.DEPENDENT and change.before is not None:
        owners = [
            changes[ref]
            for ref in references(change.address, change.before)
            if ref in changes and changes[ref].action is Action.DELETE
        ]
        if owners:
            return _class(owners[0], changes, known)
    left = known.baseline.get(change.address)
    if left == UNKNOWN or (left is None and not known.complete):
        return DriftClass.UNKNOWN
    if left is None:
        return _unrecorded(change)
    return DriftClass.CHANGED_IN_FILES if _as_left(change, known) else DriftClass.CHANGED


def _as_left(change: Change, known: Memory) -> bool:
    """Whether the object, which is or was declared, is as the last apply left it."""
    return known.baseline.get(change.address) == fingerprint(change.address, change.before)


def _unrecorded(change: Change) -> DriftClass:
    """Of an object that no earlier report had as declared; one that changes beside another is an
    undeclared pool that somebody moved a declared guest to."""
    if change.before is None:
        return DriftClass.NEVER_APPLIED
    beside = change.reason.cause is Cause.DEPENDENT
    return DriftClass.CHANGED if beside else DriftClass.CHANGED_IN_FILES
