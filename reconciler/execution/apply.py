"""Apply a plan to Proxmox VE, step by step; on failure roll it back."""

from __future__ import annotations

import contextlib
from types import MappingProxyType

from reconciler.errors import (
    ApplyNotRestored,
    Conflict,
    Interrupted,
    JournalFailed,
    JournalUnfinished,
    Locked,
    PvectlError,
    Unreachable,
)
from reconciler.execution.journal.replay import point_of_no_return, recorded_changes
from reconciler.execution.overtaken import ended_elsewhere, is_for_a_person, undecided
from reconciler.execution.rollback import roll_back
from reconciler.execution.run.boundary import foreseen
from reconciler.execution.run.context import SETTLE, RunContext
from reconciler.execution.run.look import Snapshot
from reconciler.execution.run.observation import (
    Observed,
    created_by_others,
    describe,
    is_hidden,
    matching_side,
    observe,
)
from reconciler.execution.run.observer import Observer
from reconciler.execution.run.outcome import report
from reconciler.execution.run.sender import close_open, renew_secrets, write
from reconciler.execution.secrets.routing import REDIRECTED, Sinks, redirection, with_sinks
from reconciler.kinds import describe_step, kind_of
from reconciler.model.change import Change, Undo
from reconciler.model.plan import Step
from reconciler.model.run import DONE, STOPPED, STUCK, Direction, Outcome, RunReport
from reconciler.model.run_state import ASKED
from reconciler.model.spec import State


def apply_plan(run: RunContext) -> RunReport:
    """Apply the plan, continuing where its journal ends.

    The report has the outcome of each object. When a step fails, the run is rolled back, unless an
    irreversible step was applied: then it can only be finished, and the journal stays open. Raises
    JournalFailed or Locked only when nothing was sent.
    """
    try:
        with foreseen():
            run.file.begin()
            close_open(run)
            result = report(run, DONE, patience=SETTLE, seen=_forward(run))
            _refuse_incomplete(result)
            run.end(result)
            _reject_full_disk(run)
    except PvectlError as failure:
        if isinstance(failure, JournalFailed | Locked) and not run.state.has_announced:
            run.file.undo()
            with contextlib.suppress(JournalFailed):
                run.journal.write("end", outcome=STOPPED, objects={})
            raise
        return _failed(run, failure)
    return result


def roll_back_run(run: RunContext, *, chosen: bool = False) -> RunReport:
    """Roll a run back on request.

    `chosen`: the user has seen what that undoes, and that another run wrote in between; otherwise
    such a run raises JournalUnfinished. Raises ApplyNotRestored after an irreversible change.
    """
    try:
        with foreseen():
            if run.state.is_overtaken and not chosen:
                if not run.state.has_turned:
                    _forward_again(run)
                raise undecided(report(run, STOPPED))
            if not run.state.has_turned:
                if not point_of_no_return(run.state, run.steps):
                    close_open(run)
                _reject_past_pivot(run)
                cause = {"code": ASKED, "summary": "requested"}
                run.journal.write("rollback", cause=cause)
            return roll_back(run)
    except (ApplyNotRestored, JournalUnfinished):
        raise
    except PvectlError as barrier:
        return report(run, STOPPED, barrier)


def _reject_past_pivot(run: RunContext) -> None:
    pivot = _past_pivot(run)
    if pivot:
        closed = _forward_again(run)
        raise ApplyNotRestored(
            f"cannot roll back: {pivot} is irreversible and was applied",
            hint="nothing was sent; declare what you want instead, then run `pvectl plan`"
            if closed
            else "nothing was sent; run `pvectl resume` to finish the run",
        )


def _forward_again(run: RunContext) -> bool:
    """Return the run to its state before the rollback was requested, complete or not."""
    ended = [event for event in run.state.events if event.name == "end"]
    run.journal.write("continued", back=False, time=round(run.clock.now(), 3))
    closed = bool(ended) and not ended[-1].data.get("unfinished")
    if closed:
        run.journal.write("end", **ended[-1].data)
    return closed


def resume_run(
    run: RunContext, sinks: Sinks = MappingProxyType({}), *, chosen: bool = False
) -> RunReport:
    """Finish a run in the direction in which it was going; a completed run is left as it is.

    `sinks`: new destinations for secrets, where they differ from the run's. A run after which
    another one wrote is closed when everything is as it declared; otherwise JournalUnfinished names
    what differs, unless the user has `chosen` to continue.
    """
    if run.state.is_finished:
        return report(run, str(run.state.events[-1].data["outcome"]), patience=SETTLE)
    if run.state.is_overtaken or not run.state.has_announced:
        try:
            with foreseen():
                ended = ended_elsewhere(run, chosen=chosen)
        except JournalUnfinished:
            raise
        except PvectlError as barrier:
            return report(run, STOPPED, barrier)
        if ended is not None:
            return ended
    if run.state.is_rolling_back:
        return roll_back_run(run, chosen=chosen)
    try:
        for number, sink in sorted(sinks.items()):
            run.journal.write(REDIRECTED, **redirection(number, sink))
    except JournalFailed as barrier:
        return report(run, STOPPED, barrier)
    run.steps = with_sinks(run.steps, sinks)
    return apply_plan(run)


def _forward(run: RunContext) -> State:
    """Apply every step that is not complete; returns a final snapshot of all objects.

    A signal after the last step still rolls everything back, as announced; where that is
    impossible, there is nothing left to stop.
    """
    todo = [number for number in range(len(run.steps)) if not is_complete(run, number)]
    with Observer(run, todo) as observer:
        for number in todo:
            step = run.steps[number]
            _refuse_to_go_on(run, f"before step {number + 1}")
            _do(run, number, step, observer.before(number))
            observer.wrote(step)
        state = observer.at_the_end()
    _reject_full_disk(run)
    if run.stop and not point_of_no_return(run.state, run.steps):
        raise Interrupted("stopped by a signal after the last step")
    return state


def is_complete(run: RunContext, number: int) -> bool:
    """Whether a step has been fully applied, by this run or before it."""
    return run.state.step(number).is_complete


def _refuse_to_go_on(run: RunContext, where: str) -> None:
    if run.stop:
        raise Interrupted(f"stopped by a signal {where}")
    _reject_full_disk(run)


def _reject_full_disk(run: RunContext) -> None:
    """Stop on a full disk: the reserve is for the rollback only."""
    if run.journal.disk_full:
        raise JournalFailed(
            "the disk that holds the journal is full",
            hint="free some space, then run `pvectl status`",
        )


def _do(run: RunContext, number: int, step: Step, sight: Snapshot) -> None:
    """Apply the rest of one step."""
    todo = [left for change in step.changes if (left := _left(run, number, change, sight))]
    if todo:
        run.notify(number, describe_step(step.changes))
        write(run, number, Direction.FORWARD, todo, sight)
        return
    if step.sink is not None and not run.state.step(number).is_delivered:
        renew_secrets(run, number, step.changes)
    elif run.state.step(number).is_touched:
        run.journal.write("done", step=number, direction=str(Direction.FORWARD))
    else:
        run.notify(number, f"{describe_step(step.changes)}: already applied")
        run.journal.write("skipped", step=number)


def _left(run: RunContext, number: int, change: Change, sight: Snapshot) -> Change | None:
    """The rest of a change; None when it is applied. Raises Conflict."""
    record = run.state.step(number)
    sink = kind_of(change.address).secrets.sink(change)
    seen = observe(change, sight.state)
    if is_hidden(change) and seen is Observed.BEFORE:
        return None if sink and record.is_delivered else change
    if seen in (Observed.BEFORE, Observed.PARTIAL):
        return change
    if seen is Observed.AFTER:
        if sink and not record.is_touched:
            raise created_by_others(change, gone_before=run.state.is_overtaken)
        return None
    live = sight.state.get(change.address)
    ours = matching_side(recorded_changes(run.state, run.steps, number), change.address, live)
    if ours and record.is_touched:
        return change._replace(before=ours[0])
    raise Conflict(
        f"an object was changed concurrently: {describe(change, sight.state)}",
        hint="check it, then plan again",
    )


def _refuse_incomplete(result: RunReport) -> None:
    """Raise Conflict for an object that was changed again before the end of the run."""
    if result.trouble:
        raise result.trouble[0]
    if not result.verified:
        raise Unreachable("the cluster did not answer while the changes were being verified")
    missing = [str(address) for address, became in result.objects if became is not Outcome.DONE]
    if missing:
        raise Conflict(
            f"not as declared at the end of the run: {', '.join(missing)}",
            hint="something else changes the same objects: check them, then plan again",
        )


def _failed(run: RunContext, failure: PvectlError) -> RunReport:
    """Roll everything back, or stop where that is no longer possible."""
    if _prevents_rollback(run, failure) or is_for_a_person(run, failure):
        return report(run, STOPPED, failure)
    cause = {"code": failure.code, "summary": failure.summary}
    try:
        with foreseen():
            pivot = _past_pivot(run)
            if not pivot:
                run.journal.write("rollback", cause=cause)
                return roll_back(run, failure)
            run.journal.write("stuck", cause=cause, pivot=pivot)
            result = report(run, STUCK, failure, patience=SETTLE)
            run.journal.write("end", outcome=STUCK, unfinished=True, objects=result.objects_json())
    except PvectlError as barrier:
        return report(run, STOPPED, failure, [] if barrier is failure else [barrier])
    return result


def _prevents_rollback(run: RunContext, failure: PvectlError) -> bool:
    """Whether the error also prevents a rollback: an unreachable cluster is left to `resume`."""
    if isinstance(failure, Unreachable) and not run.unreachable:
        try:
            run.look(run.steps[0].changes, patience=0.0)
        except Unreachable:
            return True
    disk_full = isinstance(failure, JournalFailed) and run.journal.disk_full
    return run.unreachable or (isinstance(failure, Locked | JournalFailed) and not disk_full)


def _past_pivot(run: RunContext) -> str:
    """The irreversible change that was applied; "" while everything can be rolled back."""
    pivot = point_of_no_return(run.state, run.steps)
    if pivot:
        return pivot
    doubtful = [
        (number, change)
        for number in run.state.announced
        for change in run.steps[number].changes
        if kind_of(change.address).writes.undo(change) is Undo.NONE
    ]
    state = run.look([change for _, change in doubtful]).state if doubtful else {}
    for number, change in doubtful:
        seen = observe(change, state)
        if seen is Observed.PARTIAL or (
            seen is Observed.AFTER and run.state.step(number).is_touched
        ):
            return str(change.address)
    return ""
