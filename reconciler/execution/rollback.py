"""Roll back the steps of a journal, after reading what is there in the cluster."""

from __future__ import annotations

from reconciler.errors import (
    ApplyNotRestored,
    Conflict,
    JournalFailed,
    Locked,
    PvectlError,
    Unreachable,
)
from reconciler.execution.journal.replay import recorded_changes
from reconciler.execution.run.boundary import foreseen
from reconciler.execution.run.context import SETTLE, RunContext
from reconciler.execution.run.look import Snapshot
from reconciler.execution.run.observation import (
    Observed,
    as_shown,
    describe,
    is_hidden,
    matching_side,
    observe,
)
from reconciler.execution.run.outcome import report
from reconciler.execution.run.sender import close_open, write
from reconciler.kinds import describe_step, kind_of
from reconciler.model.change import Change, Undo
from reconciler.model.run import ROLLED_BACK, Direction, RunReport

BARRIERS = (JournalFailed, Locked, Unreachable)
"""What prevents every further request, not only the one that met it."""


def roll_back(run: RunContext, failure: PvectlError | None = None) -> RunReport:
    """Roll back what this run did, last step first, and verify that everything is as before.

    Objects that were changed concurrently are left alone; what cannot be rolled back is listed.
    Raises what prevents every further request: JournalFailed, Locked, Unreachable.
    """
    close_open(run)
    trouble: list[PvectlError] = []
    for number in sorted(run.state.announced, reverse=True):
        if is_undone(run, number):
            continue
        try:
            with foreseen():
                _undo_step(run, number, trouble)
        except BARRIERS:
            raise
        except PvectlError as error:
            trouble.append(error)
            run.notify(number, f"cannot be rolled back: {error.summary}")
    trouble += _withdraw_secrets(run)
    result = report(run, ROLLED_BACK, failure, trouble, patience=SETTLE)
    again = any(not isinstance(error, Conflict) for error in trouble) or not result.verified
    run.end(result, unfinished=again)
    return result


def _undo_step(run: RunContext, number: int, trouble: list[PvectlError]) -> None:
    step, known_trouble = run.steps[number], len(trouble)
    sight = run.look(step.changes)
    back = [_inverse(run, number, change, sight, trouble) for change in reversed(step.changes)]
    todo = [change for change in back if change is not None]
    if todo:
        run.notify(number, f"rolling back: {describe_step(todo)}")
        write(run, number, Direction.BACK, todo, sight)
    if len(trouble) == known_trouble and not is_undone(run, number):
        run.journal.write("done", step=number, direction=str(Direction.BACK))


def is_undone(run: RunContext, number: int) -> bool:
    """Whether a step has been completely rolled back."""
    return run.state.step(number).is_undone


def _inverse(
    run: RunContext, number: int, change: Change, sight: Snapshot, trouble: list[PvectlError]
) -> Change | None:
    """The change that undoes one from its present state; None where there is nothing of this
    run.
    """
    live = sight.state.get(change.address)
    record = run.state.step(number)
    ours = record.is_touched
    if live == as_shown(change.address, change.before) or is_hidden(change):
        return None
    if not ours and record.is_disowned:
        summary = f"{change.address} was created either by this run or by another one"
        trouble.append(
            Conflict(summary, hint="it was left alone: check it, then run `pvectl plan` again")
        )
        return None
    if not ours and (
        run.state.is_overtaken or observe(change, sight.state) is not Observed.PARTIAL
    ):
        return None
    if kind_of(change.address).writes.undo(change) is Undo.NONE:
        summary = f"{describe_step([change])} cannot be rolled back"
        trouble.append(ApplyNotRestored(summary, hint="`pvectl plan` shows what differs"))
        return None
    found = matching_side(recorded_changes(run.state, run.steps, number), change.address, live)
    if not found:
        summary = f"an object was changed concurrently: {describe(change, sight.state)}"
        trouble.append(
            Conflict(summary, hint="it was left alone: check it, then run `pvectl plan` again")
        )
        return None
    return change.inverse()._replace(before=found[0])


def _withdraw_secrets(run: RunContext) -> list[PvectlError]:
    """Remove the secrets of tokens that were rolled back; returns those that could not be
    removed.
    """
    failed: list[PvectlError] = []
    for number, step in enumerate(run.steps):
        record = run.state.step(number)
        if step.sink is None or not record.is_delivered or record.is_withdrawn:
            continue
        for change in step.changes:
            if change.before is None and is_undone(run, number):
                try:
                    with foreseen():
                        run.secrets.withdraw(step.sink, change.address.id)
                except PvectlError as error:
                    failed.append(error)
                else:
                    run.journal.write("withdrawn", step=number, sink=str(step.sink))
    return failed
