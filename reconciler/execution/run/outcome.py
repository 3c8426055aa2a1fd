"""Determine the outcome of every object of a plan, from the cluster and the journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.errors import PvectlError, Unreachable
from reconciler.execution.journal.replay import point_of_no_return
from reconciler.execution.run.boundary import foreseen
from reconciler.execution.run.context import RunContext
from reconciler.execution.run.observation import Observed, left, observe
from reconciler.execution.secrets.routing import token_of
from reconciler.kinds import kind_of
from reconciler.model.address import Address
from reconciler.model.change import Change, Undo
from reconciler.model.plan import Step
from reconciler.model.run import (
    ABANDONED,
    COMPLETED,
    ROLLED_BACK,
    STOPPED,
    Outcome,
    RunReport,
)
from reconciler.model.run_state import RunState, StepRecord
from reconciler.model.spec import State


@dataclass(slots=True)
class _ObjectHistory:
    """One object of a plan: its state before, the declared one, and how far it got.

    `refused`: changes that PVE refused but may have applied in part.
    """

    before: Change
    after: Change
    refused: list[Change] = field(default_factory=list)
    touched: bool = False
    complete: bool = True
    undo: Undo = Undo.FULL


def report(
    run: RunContext,
    outcome: str,
    failure: PvectlError | None = None,
    trouble: Sequence[PvectlError] = (),
    *,
    patience: float = 0.0,
    seen: State | None = None,
) -> RunReport:
    """Read everything once more and report the outcome; `patience` as for `RunContext.look`.

    `seen`: a snapshot of all of it taken just now, so that none is needed.

    A cluster that was unreachable when the run stopped is not asked again: the journal's account is
    reported, unverified; likewise where reading fails for another reason, which is `trouble`.
    """

    def see(changes: Sequence[Change]) -> State:
        return run.look(changes, patience).state if seen is None else seen

    gone = outcome == STOPPED and any(isinstance(e, Unreachable) for e in (failure, *trouble))
    try:
        with foreseen():
            if not gone:
                return report_from_cluster(run.state, run.steps, see, outcome, failure, trouble)
    except Unreachable:
        pass
    except PvectlError as error:
        trouble = [*trouble, error]
    return report_from_journal(run.state, run.steps, outcome, failure, trouble)


def report_from_cluster(
    run: RunState,
    steps: Sequence[Step],
    see: Callable[[Sequence[Change]], State],
    outcome: str,
    failure: PvectlError | None = None,
    trouble: Sequence[PvectlError] = (),
) -> RunReport:
    """The outcome of the objects of `steps`; raises what `see` raises."""
    histories = _histories(run, steps)
    state = see([change for step in steps for change in step.changes])
    objects = {
        address: _outcome(history, state, back=outcome == ROLLED_BACK)
        for address, history in histories.items()
    }
    return _report(run, steps, outcome, objects, failure, trouble, verified=True)


def report_from_journal(
    run: RunState,
    steps: Sequence[Step],
    outcome: str,
    failure: PvectlError | None = None,
    trouble: Sequence[PvectlError] = (),
) -> RunReport:
    """The outcome of the objects according to the journal alone; only what was being sent is
    unknown.
    """
    found: dict[Address, set[Outcome]] = {}
    for number, step in enumerate(steps):
        for change in step.changes:
            became = _outcome_of_step(run.step(number), change)
            found.setdefault(change.address, set()).add(became)
    objects = {address: _merge_outcomes(each) for address, each in found.items()}
    return _report(run, steps, outcome, objects, failure, trouble, verified=False)


def _outcome_of_step(step: StepRecord, change: Change) -> Outcome:
    """The outcome of an object in one step, according to the journal."""
    if step.is_undone:
        return Outcome.UNDONE if step.is_touched else Outcome.UNTOUCHED
    if step.is_open:
        return Outcome.UNKNOWN
    if step.is_complete:
        return Outcome.DONE
    half = step.was_refused and any(kind_of(change.address).writes.partial_states(change))
    return Outcome.UNKNOWN if step.is_touched or half else Outcome.UNTOUCHED


def _merge_outcomes(steps: set[Outcome]) -> Outcome:
    """The outcome of an object over all steps that change it."""
    if steps == {Outcome.UNDONE, Outcome.UNTOUCHED}:
        return Outcome.UNDONE
    return next(iter(steps)) if len(steps) == 1 else Outcome.UNKNOWN


def _report(
    run: RunState,
    steps: Sequence[Step],
    outcome: str,
    objects: Mapping[Address, Outcome],
    failure: PvectlError | None,
    trouble: Sequence[PvectlError],
    *,
    verified: bool,
) -> RunReport:
    return RunReport(
        outcome,
        tuple(objects.items()),
        failure,
        tuple(trouble),
        _losses(_histories(run, steps), objects),
        verified,
        run.is_rolling_back,
        point_of_no_return(run, steps),
        _not_delivered_here(run, steps)
        if outcome in (COMPLETED, ABANDONED)
        else _delivery_status(run, steps, objects),
    )


NOT_DELIVERED = (
    "its secret was not delivered, or may not have been: `pvectl resume` creates and delivers a "
    "new one"
)
NOT_DELIVERED_HERE = (
    "this run did not deliver its secret; unless another one did: `pvectl rotate '{}'`"
)
RENEWED = "a new secret was created and delivered; one delivered before no longer works"


def _delivery_status(
    run: RunState, steps: Sequence[Step], objects: Mapping[Address, Outcome]
) -> dict[Address, str]:
    """Delivery status of tokens' secrets, unless the run is being rolled back."""
    tried = [] if run.is_rolling_back else run.touched
    said: dict[Address, str] = {}
    for number in tried:
        token = token_of(steps[number]) if steps[number].sink is not None else None
        if token is None or objects[token] not in (Outcome.DONE, Outcome.UNKNOWN):
            continue
        if not run.step(number).is_delivered:
            said[token] = NOT_DELIVERED
        elif run.step(number).is_replacement_secret:
            said[token] = RENEWED
    return said


def _not_delivered_here(run: RunState, steps: Sequence[Step]) -> dict[Address, str]:
    """Tokens that a closed run may have created and whose secrets it never delivered."""
    own = [(steps[number], number) for number in run.announced]
    return {
        token: NOT_DELIVERED_HERE.format(token.id)
        for step, number in own
        if step.sink is not None
        and not run.step(number).is_delivered
        and (token := token_of(step)) is not None
    }


def _histories(run: RunState, steps: Sequence[Step]) -> dict[Address, _ObjectHistory]:
    histories: dict[Address, _ObjectHistory] = {}
    for number, step in enumerate(steps):
        record = run.step(number)
        complete = record.is_complete and not record.is_undone
        for change in step.changes:
            history = histories.setdefault(change.address, _ObjectHistory(change, change))
            history.after, history.complete = change, complete
            if record.is_touched:
                history.touched = True
                history.undo = max(
                    history.undo, kind_of(change.address).writes.undo(change), key=_rank
                )
            elif record.announced:
                history.refused.append(change)
    return histories


def _rank(undo: Undo) -> int:
    return undo.rank


def _outcome(history: _ObjectHistory, state: State, *, back: bool) -> Outcome:
    """The outcome; where both sides look the same (a new password) the journal decides."""
    address = history.before.address
    live = state.get(address)
    was = left(history.before, history.before.before, live)
    is_to_be = left(history.after, history.after.after, live)
    if was == is_to_be and live == was:
        if history.complete and not back:
            return Outcome.DONE
        if not history.touched:
            return Outcome.UNTOUCHED
        return Outcome.UNDONE if back else Outcome.UNKNOWN
    if live == is_to_be and (history.touched or not back):
        return Outcome.DONE
    if not history.touched:
        half = any(observe(change, state) is Observed.PARTIAL for change in history.refused)
        return Outcome.UNKNOWN if half else Outcome.UNTOUCHED
    return Outcome.UNDONE if live == was else Outcome.UNKNOWN


def _losses(
    histories: Mapping[Address, _ObjectHistory], became: Mapping[Address, Outcome]
) -> dict[Address, str]:
    said = {
        Undo.LOSSY: "LOSSY: the previous secret cannot be restored",
        Undo.NONE: "NONE: it cannot be restored",
    }
    return {
        address: said[history.undo]
        for address, history in histories.items()
        if history.undo in said and became[address] in (Outcome.UNDONE, Outcome.UNKNOWN)
    }
