"""The way back over a journal, decided by reading the cluster."""

from __future__ import annotations

from reconciler.errors import (
    ApplyNotRestored,
    Conflict,
    JournalFailed,
    Locked,
    PvectlError,
    Unreachable,
)
from reconciler.execution.journal.replay import (
    announced,
    is_disowned,
    is_overtaken,
    is_taken_back,
    recorded,
    touched,
)
from reconciler.execution.run.boundary import foreseen
from reconciler.execution.run.context import SETTLE, Direction, RunContext, Snapshot
from reconciler.execution.run.observation import (
    Observed,
    as_shown,
    describe,
    is_hidden,
    matching_side,
    observe,
)
from reconciler.execution.run.outcome import ROLLED_BACK, RunReport, report
from reconciler.execution.run.sender import close_open, write
from reconciler.kinds import kind_of
from reconciler.model.change import Change, Undo

BARRIERS = (JournalFailed, Locked, Unreachable)
"""What bars every further request, not only the one that met it."""


def roll_back(run: RunContext, failure: PvectlError | None = None) -> RunReport:
    """Take back what this run did, last step first, and verify that everything is as before.

    What somebody else changed meanwhile stays untouched; what cannot be taken back is listed.
    Raises what bars every further request: JournalFailed, Locked, Unreachable.
    """
    close_open(run)
    trouble: list[PvectlError] = []
    for number in sorted(announced(run.journal.events), reverse=True):
        if is_taken_back(run.journal.events, number):
            continue
        try:
            with foreseen():
                _take_back(run, number, trouble)
        except BARRIERS:
            raise
        except PvectlError as error:
            trouble.append(error)
            run.say(number, f"cannot be taken back: {error.summary}")
    trouble += _withdraw_secrets(run)
    result = report(run, ROLLED_BACK, failure, trouble, patience=SETTLE)
    again = any(not isinstance(error, Conflict) for error in trouble) or not result.verified
    run.journal.write(
        "end", outcome=result.outcome, unfinished=again, objects=result.objects_json()
    )
    return result


def _take_back(run: RunContext, number: int, trouble: list[PvectlError]) -> None:
    step, known_trouble = run.steps[number], len(trouble)
    sight = run.look(step.changes)
    back = [_inverse(run, number, change, sight, trouble) for change in reversed(step.changes)]
    todo = [change for change in back if change is not None]
    if todo:
        run.say(number, f"taking back: {', '.join(str(change.address) for change in todo)}")
        write(run, number, Direction.BACK, todo, sight)
    if len(trouble) == known_trouble and not is_taken_back(run.journal.events, number):
        run.journal.write("done", step=number, direction=str(Direction.BACK))


def _inverse(
    run: RunContext, number: int, change: Change, sight: Snapshot, trouble: list[PvectlError]
) -> Change | None:
    """The change that takes one back from where it is; None where nothing of ours is there."""
    live = sight.state.get(change.address)
    ours = number in touched(run.journal.events)
    if live == as_shown(change.address, change.before) or is_hidden(change):
        return None
    overtaken = is_overtaken(run.journal.events)
    if not ours and is_disowned(run.journal.events, number):
        summary = f"{change.address} was made by this run or by another one; which is not known"
        trouble.append(Conflict(summary, hint="it was left alone: look at it, then plan again"))
        return None
    if not ours and (overtaken or observe(change, sight.state) is not Observed.HALFWAY):
        return None
    if kind_of(change.address).undo(change) is Undo.NONE:
        summary = f"{change.action} {change.address} cannot be taken back"
        trouble.append(ApplyNotRestored(summary, hint="pvectl plan shows what differs"))
        return None
    found = matching_side(recorded(run.journal.events, run.steps, number), change.address, live)
    if not found:
        summary = f"somebody else changed an object meanwhile: {describe(change, sight.state)}"
        trouble.append(Conflict(summary, hint="it was left alone: look at it, then plan again"))
        return None
    return change.inverse()._replace(before=found[0])


def _withdraw_secrets(run: RunContext) -> list[PvectlError]:
    """The secret of a token that is no more is of no use to anybody; what could not be removed."""
    failed: list[PvectlError] = []
    for number, step in enumerate(run.steps):
        events = [event.name for event in run.journal.events if event.step == number]
        if step.sink is None or "delivered" not in events or "withdrawn" in events:
            continue
        for change in step.changes:
            if change.before is None and is_taken_back(run.journal.events, number):
                try:
                    with foreseen():
                        run.secrets.withdraw(step.sink, change.address.id)
                except PvectlError as error:
                    failed.append(error)
                else:
                    run.journal.write("withdrawn", step=number, sink=str(step.sink))
    return failed
