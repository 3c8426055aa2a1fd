"""Check a saved plan again, against the current files, policy and cluster."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from reconciler.kinds import kind_of, visible
from reconciler.kinds.shared.step import secrets_of
from reconciler.model.address import Address
from reconciler.model.change import Change
from reconciler.model.declared import Desired
from reconciler.model.finding import Finding, Severity
from reconciler.model.inventory import Facts
from reconciler.model.plan import Plan, Step
from reconciler.model.spec import Spec, State
from reconciler.planning.builder import PlanResult, apply_changes, judged
from reconciler.planning.changes.diff import diff
from reconciler.planning.findings.access_summary import real_paths
from reconciler.planning.ordering.exposure_tracker import ExposureTracker
from reconciler.planning.ordering.order import misplaced
from reconciler.planning.request import PlanRequest


class Again(NamedTuple):
    """What forbids a saved plan now, and the objects for which the current files ask something
    else than the plan does and the cluster has."""

    refusals: tuple[Finding, ...]
    not_asked_for: tuple[Address, ...]


def judge_again(
    saved: Plan, desired: Desired, live: State, facts: Facts, question: PlanRequest
) -> Again:
    """The same steps under the current files and policy.

    Only refusals that were allowed when the plan was made are allowed here, each by its exact flag.
    """
    asked = replace(question, allowed=saved.passed, targets=())
    changes = whole(saved.changes)
    difference = diff(desired, live, now=asked.now, earlier=asked.earlier)
    again = judged(desired, live, facts, asked, difference, changes, saved.steps)
    refusals = [one for one in again.plan.findings if one.severity is Severity.ERROR]
    refusals += _of_the_system(changes)
    refusals += _order(saved.steps, again, facts, asked.now)
    wanted = apply_changes(live, difference.changes)
    others = tuple(_not_asked_for(saved.changes, wanted, live))
    return Again(tuple(dict.fromkeys(refusals)), others)


def _of_the_system(changes: Iterable[Change]) -> Iterable[Finding]:
    for change in changes:
        before, address = change.before, change.address
        if (
            change.after is None
            and before
            and kind_of(address).reads.is_builtin(address.id, before)
        ):
            message = f"{address} is built in and cannot be deleted"
            yield Finding("BUILT_IN", Severity.ERROR, message, address=address)


def _order(steps: Sequence[Step], again: PlanResult, facts: Facts, now: int) -> Iterable[Finding]:
    """Steps that run before what they need, or open a window that the plan does not report."""
    wrong = misplaced(steps)
    if wrong is not None:
        yield _disorder(wrong, steps, "runs before what it needs")
        return
    if not steps:
        return
    watch = ExposureTracker(*again.bare, real_paths(again.state, facts), now)
    for number, step in enumerate(steps):
        if watch.opens(step) and not step.window:
            yield _disorder(number, steps, "opens an exposure window that the plan does not report")
        watch.take(step)


def _disorder(number: int, steps: Sequence[Step], what: str) -> Finding:
    address = steps[number].changes[0].address
    message = f"step {number + 1} {what}"
    return Finding("PLAN_ORDER", Severity.ERROR, message, "plan again", address)


def whole(changes: Sequence[Change]) -> tuple[Change, ...]:
    """The changes of steps as they were before they were split into requests.

    An object that is removed and restored has two.
    """
    parts: dict[Address, list[Change]] = {}
    for change in changes:
        parts.setdefault(change.address, []).append(change)
    return tuple(joined for own in parts.values() for joined in _joined(own))


def _joined(parts: Sequence[Change]) -> Sequence[Change]:
    net = parts[0]._replace(after=parts[-1].after)
    vanishes = any(part.after is None for part in parts[:-1])
    if net.before == net.after:
        return parts
    if vanishes and tuple(kind_of(net.address).writes.split(net)) != tuple(parts):
        return parts
    return (net,)


def strangers(steps: Sequence[Step], desired: Desired) -> str:
    """The first step that reads or stores a secret where no state file says so; "" for none."""
    for number, step in enumerate(steps, 1):
        for change in step.changes:
            declared = desired.objects.get(change.address)
            known = set(secrets_of(declared.spec if declared else None))
            for one in (*secrets_of(change.before), *secrets_of(change.after)):
                if one not in known:
                    return (
                        f"step {number} ({change.address}) names {one}, which no state file names"
                    )
    return ""


def _not_asked_for(changes: Iterable[Change], wanted: State, live: State) -> Iterable[Address]:
    reached = {change.address: change.after for change in changes}
    for address, spec in reached.items():
        sides = (wanted.get(address), live.get(address))
        if _shown(address, spec) not in [_shown(address, side) for side in sides]:
            yield address


def _shown(address: Address, spec: Spec | None) -> Spec | None:
    return None if spec is None else visible(address, spec)
