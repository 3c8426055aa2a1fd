"""Plan -> Proxmox VE, step by step; on failure the way back."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.errors import (
    ApplyNotRestored,
    Conflict,
    Interrupted,
    JournalFailed,
    Locked,
    PvectlError,
    Unreachable,
)
from reconciler.execution.judge import Seen, describe, intermediate, is_hidden, judge
from reconciler.execution.report import Report, report
from reconciler.execution.rollback import roll_back
from reconciler.execution.run import SETTLE, Direction, Run, ensure_delivered, settle, write
from reconciler.kinds import kind_of
from reconciler.model.change import Change, Undo
from reconciler.model.plan import Step
from reconciler.model.state import State


def apply(run: Run) -> Report:
    """Bring the plan into force, from where the journal says that it stands.

    The report says what became of each object. When a step fails everything is taken back, unless
    an irreversible step has been done: then there is only forward, and the journal stays open.
    Raises JournalFailed or Locked when nothing was sent, ApplyNotRestored when the way back is
    barred as well.
    """
    try:
        _forward(run)
    except (JournalFailed, Locked) as failure:
        if not any(event.name == "intent" for event in run.journal.events):
            raise
        if run.journal.cramped:
            return _failed(run, failure)
        raise ApplyNotRestored(
            f"stopped in the middle: {failure.summary}",
            hint="when that is mended: pvectl resume, or pvectl rollback",
        ) from None
    except PvectlError as failure:
        return _failed(run, failure)
    result = report(run, "done")
    run.journal.write("end", outcome=result.outcome, objects=result.objects_json())
    return result


def _forward(run: Run) -> None:
    state: State = {}
    for number, step in enumerate(run.steps):
        if run.stop:
            raise Interrupted(f"stopped by a signal before step {number + 1}")
        if run.journal.cramped:
            raise JournalFailed("the disk that holds the journal is full", hint="make room")
        if number == 0:
            state = run.look([step])
        todo = _remaining(run, number, step, state)
        if todo:
            run.say(number, f"{step.request.method} {step.request.target}")
            write(run, number, Direction.FORWARD, todo)
        else:
            run.say(number, "already in force")
            run.journal.write("skipped", step=number)
        state = run.look(run.steps[number : number + 2])
        _verify(step, number, run.steps, state)


def _remaining(run: Run, number: int, step: Step, state: State) -> Sequence[Change]:
    """The changes of a step that are still to be made; raises Conflict."""
    todo = []
    for change in step.changes:
        seen = judge(change, state)
        if seen is Seen.BEFORE and _in_flight(run, number):
            state = settle(run, number, [change], _last_intent(run, number))
            seen = judge(change, state)
        if is_hidden(change) and _recorded(run, number):
            continue
        if seen in (Seen.BEFORE, Seen.HALFWAY):
            todo.append(change)
        elif seen is Seen.OTHER:
            if not intermediate(run.steps, number, change, state):
                raise Conflict(
                    f"somebody else changed an object meanwhile: {describe(change, state)}",
                    hint="look at it, then plan again",
                )
        elif kind_of(change.address).sink(change) is not None:
            _own_token(run, number, change)
    return todo


def _own_token(run: Run, number: int, change: Change) -> None:
    """A token that is there already is ours only if this run announced it."""
    if not any(e.name == "intent" and e.step == number for e in run.journal.events):
        raise Conflict(
            f"somebody else made {change.address} meanwhile; its secret is not known here",
            hint=f"declare it without secret_to, or renew it: pvectl rotate {change.address.id}",
        )
    ensure_delivered(run, number, [change])


def _last_intent(run: Run, number: int) -> float:
    times = [e.data["time"] for e in run.journal.events if e.name == "intent" and e.step == number]
    return float(times[-1]) if times else 0.0


def _in_flight(run: Run, number: int) -> bool:
    """A request was announced, its outcome never recorded, and it may still come into force."""
    own = [e for e in run.journal.events if e.step == number]
    announced = bool(own) and own[-1].name == "intent"
    return announced and run.clock.now() < _last_intent(run, number) + SETTLE


def _recorded(run: Run, number: int) -> bool:
    return any(e.name == "done" and e.step == number for e in run.journal.events)


def _verify(step: Step, number: int, steps: Sequence[Step], state: State) -> None:
    """What was written is there; PVE's 200 alone proves nothing."""
    for change in step.changes:
        seen = judge(change, state)
        if seen is Seen.AFTER or is_hidden(change) or intermediate(steps, number, change, state):
            continue
        raise Conflict(
            f"a change did not stay in force: {describe(change.inverse(), state)}",
            hint="somebody else changes the same object, or Proxmox VE ignored a value",
        )


def _failed(run: Run, failure: PvectlError) -> Report:
    """Take everything back, or stop where nothing can be taken back any more."""
    past = _past_pivot(run)
    cause = {"code": failure.code, "summary": failure.summary}
    if past:
        run.journal.write("stuck", cause=cause, pivot=str(past))
        result = report(run, "stuck", failure)
        run.journal.write("end", outcome="stuck", unfinished=True, objects=result.objects_json())
        return result
    run.journal.write("rollback", cause=cause)
    return roll_back(run, failure)


def _past_pivot(run: Run) -> str:
    """The irreversible change that was made already; "" while everything can be taken back."""
    announced = {e.step for e in run.journal.events if e.name == "intent"}
    pivots = [n for n in sorted(announced) if run.steps[n].undo is Undo.NONE]
    if not pivots:
        return ""
    try:
        state = run.look([run.steps[n] for n in pivots])
    except Unreachable:
        return str(run.steps[pivots[0]].changes[0].address)
    for number in pivots:
        for change in run.steps[number].changes:
            final = kind_of(change.address).undo(change) is Undo.NONE
            if final and judge(change, state) is not Seen.BEFORE:
                return str(change.address)
    return ""
