"""Fold a journal into the state of its run, and answer what needs the plan as well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.errors import JournalBroken
from reconciler.kinds import kind_of, specs
from reconciler.model.change import Change, Undo
from reconciler.model.plan import Step
from reconciler.model.request import Request
from reconciler.model.run import Event, OutgoingRequest
from reconciler.model.run_state import RunState


def replay(events: Iterable[Event], steps: Sequence[Step]) -> RunState:
    """The state of a run, from one pass over its journal; raises JournalBroken for a sequence of
    events that no run of these steps can have written."""
    state = RunState.of(events)
    reject_broken(state, steps)
    return state


def reject_broken(state: RunState, steps: Sequence[Step]) -> None:
    """Raise JournalBroken for a state that no run of these steps can reach."""
    why = state.broken
    beyond = max(state.steps, default=-1)
    if beyond >= len(steps):
        why = why or f"step {beyond + 1} of a plan with {len(steps)}"
    if why:
        raise JournalBroken(
            f"the journal contradicts itself: {why}",
            hint="it was altered or damaged; compare the cluster with the plan manually"
            " (`pvectl plan`) before you delete the journal",
        )


def point_of_no_return(state: RunState, steps: Sequence[Step]) -> str:
    """The first irreversible change whose request was applied, or may have been, according to the
    journal; "" for none.
    """
    for number in state.announced:
        if state.step(number).was_in_force:
            for change in steps[number].changes:
                if kind_of(change.address).writes.undo(change) is Undo.NONE:
                    return str(change.address)
    return ""


def open_request(state: RunState, steps: Sequence[Step]) -> tuple[OutgoingRequest, float] | None:
    """The last announced request, if its outcome was never recorded, and when (Unix seconds) it was
    announced.
    """
    event = state.open_intent
    if event is None:
        return None
    known = specs()
    carried = tuple(Change.from_json(change, known) for change in event.data.get("changes", ()))
    request = Request.from_json(event.data["request"])
    changes = carried or steps[event.step].changes
    sent = float(event.data["time"])
    return OutgoingRequest(event.step, event.direction, request, changes), sent


def recorded_changes(state: RunState, steps: Sequence[Step], number: int) -> tuple[Change, ...]:
    """Every change announced for a step, those of the plan first."""
    known = specs()
    extra = (Change.from_json(change, known) for change in state.step(number).carried)
    return (*steps[number].changes, *extra)
