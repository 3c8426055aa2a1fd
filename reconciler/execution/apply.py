"""Plan -> Proxmox VE, step by step; on failure the way back."""

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
from reconciler.execution.journal.journal import is_finished
from reconciler.execution.journal.replay import (
    ASKED,
    announced,
    final,
    going_back,
    has_turned,
    is_delivered,
    is_overtaken,
    is_through,
    recorded,
    touched,
)
from reconciler.execution.overtaken import ended_elsewhere, is_for_a_person, undecided
from reconciler.execution.rollback import roll_back
from reconciler.execution.run.boundary import foreseen
from reconciler.execution.run.context import SETTLE, Direction, RunContext, Snapshot
from reconciler.execution.run.observation import (
    Observed,
    describe,
    is_hidden,
    matching_side,
    observe,
)
from reconciler.execution.run.outcome import DONE, STOPPED, STUCK, Outcome, RunReport, report
from reconciler.execution.run.sender import close_open, renew_secrets, write
from reconciler.execution.secrets.routing import REDIRECTED, Sinks, redirection, with_sinks
from reconciler.kinds import kind_of
from reconciler.model.change import Change, Undo
from reconciler.model.plan import Step


def apply_plan(run: RunContext) -> RunReport:
    """Bring the plan into force, from where the journal says that it stands.

    The report says what became of each object. When a step fails everything is taken back, unless
    an irreversible step has been done: then there is only forward, and the journal stays open.
    Raises JournalFailed or Locked only when nothing was sent.
    """
    try:
        with foreseen():
            close_open(run)
            _forward(run)
            result = report(run, DONE, patience=SETTLE)
            _refuse_incomplete(result)
            run.journal.write("end", outcome=result.outcome, objects=result.objects_json())
            _refuse_cramped(run)
    except PvectlError as failure:
        if isinstance(failure, JournalFailed | Locked) and not announced(run.journal.events):
            with contextlib.suppress(JournalFailed):
                run.journal.write("end", outcome=STOPPED, objects={})
            raise
        return _failed(run, failure)
    return result


def roll_back_run(run: RunContext, *, chosen: bool = False) -> RunReport:
    """Take a run back because somebody asks for it.

    `chosen`: a person saw what that is, and that another run came between; without it such a run
    raises JournalUnfinished. Raises ApplyNotRestored when something irreversible was done already.
    """
    try:
        with foreseen():
            if is_overtaken(run.journal.events) and not chosen:
                if not has_turned(run.journal.events):
                    _forward_again(run)
                raise undecided(report(run, STOPPED))
            if not has_turned(run.journal.events):
                close_open(run)
                _refuse_past_pivot(run)
                cause = {"code": ASKED, "summary": "asked for"}
                run.journal.write("rollback", cause=cause)
            return roll_back(run)
    except (ApplyNotRestored, JournalUnfinished):
        raise
    except PvectlError as barrier:
        return report(run, STOPPED, barrier)


def _refuse_past_pivot(run: RunContext) -> None:
    pivot = _past_pivot(run)
    if pivot:
        closed = _forward_again(run)
        raise ApplyNotRestored(
            f"it cannot be taken back any more: {pivot} was irreversible",
            hint="nothing was sent; declare what you want instead, then: pvectl plan"
            if closed
            else "there is only the way forward: pvectl resume",
        )


def _forward_again(run: RunContext) -> bool:
    """The run stands as before somebody asked for the way back; whether it had come to its end."""
    ended = [event for event in run.journal.events if event.name == "end"]
    run.journal.write("continued", back=False, time=round(run.clock.now(), 3))
    closed = bool(ended) and not ended[-1].data.get("unfinished")
    if closed:
        run.journal.write("end", **ended[-1].data)
    return closed


def resume_run(
    run: RunContext, sinks: Sinks = MappingProxyType({}), *, chosen: bool = False
) -> RunReport:
    """Finish a run in the direction in which it was going; one that has ended stays as it is.

    `sinks`: where secrets go from now on, if that is elsewhere than the run knows. A run after
    which another one wrote is closed when everything is as it wanted; else JournalUnfinished names
    what differs, unless a person has `chosen` to go on.
    """
    events = run.journal.events
    if is_finished(events):
        return report(run, str(events[-1].data["outcome"]), patience=SETTLE)
    if is_overtaken(events) or not announced(events):
        try:
            with foreseen():
                ended = ended_elsewhere(run, chosen=chosen)
        except JournalUnfinished:
            raise
        except PvectlError as barrier:
            return report(run, STOPPED, barrier)
        if ended is not None:
            return ended
    if going_back(run.journal.events):
        return roll_back_run(run, chosen=chosen)
    try:
        for number, sink in sorted(sinks.items()):
            run.journal.write(REDIRECTED, **redirection(number, sink))
    except JournalFailed as barrier:
        return report(run, STOPPED, barrier)
    run.steps = with_sinks(run.steps, sinks)
    return apply_plan(run)


def _forward(run: RunContext) -> None:
    """Every step that is not through. A signal after the last one still takes everything back, as
    was announced; where that cannot be done, nothing is left to be stopped."""
    sight: Snapshot | None = None
    for number, step in enumerate(run.steps):
        if is_through(run.journal.events, number):
            continue
        _refuse_to_go_on(run, f"before step {number + 1}")
        if sight is None:
            sight = run.look(step.changes)
        _do(run, number, step, sight)
        following = run.steps[number + 1 : number + 2]
        sight = run.look([change for part in (step, *following) for change in part.changes])
        _verify(step, sight)
    _refuse_cramped(run)
    if run.stop and not final(run.journal.events, run.steps):
        raise Interrupted("stopped by a signal after the last step")


def _refuse_to_go_on(run: RunContext, where: str) -> None:
    if run.stop:
        raise Interrupted(f"stopped by a signal {where}")
    _refuse_cramped(run)


def _refuse_cramped(run: RunContext) -> None:
    """What is left of the reserve is for the way back."""
    if run.journal.cramped:
        raise JournalFailed("the disk that holds the journal is full", hint="make room")


def _do(run: RunContext, number: int, step: Step, sight: Snapshot) -> None:
    """Make what is left to be made of one step."""
    todo = [left for change in step.changes if (left := _left(run, number, change, sight))]
    if todo:
        run.say(number, f"{step.request.method} {step.request.target}")
        write(run, number, Direction.FORWARD, todo, sight)
        return
    if step.sink is not None and not is_delivered(run.journal.events, number):
        renew_secrets(run, number, step.changes)
    elif number in touched(run.journal.events):
        run.journal.write("done", step=number, direction=str(Direction.FORWARD))
    else:
        run.say(number, "already in force")
        run.journal.write("skipped", step=number)


def _left(run: RunContext, number: int, change: Change, sight: Snapshot) -> Change | None:
    """What is left of a change; None when it is made. Raises Conflict."""
    events = run.journal.events
    sink = kind_of(change.address).sink(change)
    seen = observe(change, sight.state)
    if is_hidden(change) and seen is Observed.BEFORE:
        return None if sink and is_delivered(events, number) else change
    if seen in (Observed.BEFORE, Observed.HALFWAY):
        return change
    if seen is Observed.AFTER:
        if sink and number not in touched(events):
            raise Conflict(
                f"somebody else made {change.address} meanwhile; its secret is not known here",
                hint="close this run with pvectl resume --abandon, then give it a new secret: "
                f"pvectl rotate '{change.address.id}'"
                if is_overtaken(events)
                else "declare it without secret_to, or give it a new secret: "
                f"pvectl rotate '{change.address.id}'",
            )
        return None
    live = sight.state.get(change.address)
    ours = matching_side(recorded(events, run.steps, number), change.address, live)
    if ours and number in touched(events):
        return change._replace(before=ours[0])
    raise Conflict(
        f"somebody else changed an object meanwhile: {describe(change, sight.state)}",
        hint="look at it, then plan again",
    )


def _verify(step: Step, sight: Snapshot) -> None:
    """What was written is there; PVE's 200 alone proves nothing."""
    for change in step.changes:
        seen = observe(change, sight.state)
        if seen is Observed.AFTER or (seen is Observed.BEFORE and is_hidden(change)):
            continue
        raise Conflict(
            f"a change did not stay in force: {describe(change, sight.state)}",
            hint="somebody else changes the same object, or Proxmox VE ignored a value",
        )


def _refuse_incomplete(result: RunReport) -> None:
    """What was changed again before the end counts as a conflict."""
    if result.trouble:
        raise result.trouble[0]
    if not result.verified:
        raise Unreachable("the cluster did not answer when everything was to be read once more")
    missing = [str(address) for address, became in result.objects if became is not Outcome.DONE]
    if missing:
        raise Conflict(
            f"not in force at the end of the run: {', '.join(missing)}",
            hint="somebody else changes the same objects: look at them, then plan again",
        )


def _failed(run: RunContext, failure: PvectlError) -> RunReport:
    """Take everything back, or stop where nothing can be taken back any more."""
    if _bars_the_way_back(run, failure) or is_for_a_person(run, failure):
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


def _bars_the_way_back(run: RunContext, failure: PvectlError) -> bool:
    """A cluster that is still out of reach cannot be turned back either: that is for `resume`."""
    if isinstance(failure, Unreachable) and not run.gone:
        try:
            run.look(run.steps[0].changes, patience=0.0)
        except Unreachable:
            return True
    cramped = isinstance(failure, JournalFailed) and run.journal.cramped
    return run.gone or (isinstance(failure, Locked | JournalFailed) and not cramped)


def _past_pivot(run: RunContext) -> str:
    """The irreversible change that was made already; "" while everything can be taken back."""
    events = run.journal.events
    matching_side = final(events, run.steps)
    if matching_side:
        return matching_side
    doubtful = [
        (number, change)
        for number in sorted(announced(events))
        for change in run.steps[number].changes
        if kind_of(change.address).undo(change) is Undo.NONE
    ]
    state = run.look([change for _, change in doubtful]).state if doubtful else {}
    for number, change in doubtful:
        seen = observe(change, state)
        if seen is Observed.HALFWAY or (seen is Observed.AFTER and number in touched(events)):
            return str(change.address)
    return ""
