"""What the events of a journal say about the steps of its plan.

A request leaves `intent`, and then one of: `done` (in force), `refused` (certainly not in force),
`found` (in force, as a look showed later), `unknown` (nobody can see whether it is in force),
`disowned` (in force or not, by this run or by another one that came between: it is not undone).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from reconciler.execution.journal.journal import Event, is_finished
from reconciler.execution.run.context import Direction, OutgoingRequest
from reconciler.kinds import kind_of, specs
from reconciler.model.change import Change, Undo
from reconciler.model.plan import Step
from reconciler.model.request import Request

ASKED = "E_ASKED"
"""The cause of a rollback that somebody asked for."""
IN_FORCE = frozenset({"done", "found", "unknown"})
"""Outcomes after which the request may have changed something."""
SETTLED = IN_FORCE | {"refused", "disowned"}
"""Every outcome of a request."""
OPENING = SETTLED | {"intent"}
OVERTAKEN = "overtaken"
"""The event of a run of which it is not certain that no other one wrote after it."""


def _of(events: Iterable[Event], step: int, direction: Direction) -> list[Event]:
    own = (event for event in events if event.step == step)
    return [event for event in own if event.data.get("direction", direction) == direction]


def announced(events: Iterable[Event]) -> frozenset[int]:
    """The steps for which a request forward was announced, whatever became of it."""
    return frozenset(
        event.step
        for event in events
        if event.name == "intent" and event.data["direction"] == Direction.FORWARD
    )


def touched(events: Iterable[Event]) -> frozenset[int]:
    """The announced steps of which not every request was refused."""
    last: dict[int, str] = {}
    certain: set[int] = set()
    for event in events:
        if event.name in OPENING and event.data["direction"] == Direction.FORWARD:
            last[event.step] = event.name
            if event.name in IN_FORCE:
                certain.add(event.step)
    return frozenset(certain | {step for step, name in last.items() if name == "intent"})


def was_in_force(events: Iterable[Event], step: int) -> bool:
    """Whether a request of the step came into force at some time, or may have, unseen."""
    return any(event.name in IN_FORCE for event in _of(events, step, Direction.FORWARD))


def is_through(events: Sequence[Event], step: int) -> bool:
    """Whether a step has come to its end on the way forward: made by us, or there already."""
    return any(
        event.name == "skipped" or (event.name == "done" and not event.data.get("more"))
        for event in _of(events, step, Direction.FORWARD)
    )


def is_taken_back(events: Sequence[Event], step: int) -> bool:
    """Whether a step has come to its end on the way back."""
    return any(
        event.name == "done" and not event.data.get("more")
        for event in events
        if event.step == step and event.data.get("direction") == Direction.BACK
    )


def is_open(events: Iterable[Event], step: int) -> bool:
    """Whether nobody knows what became of the last request of a step, either way."""
    own = [event for event in events if event.step == step and event.name in OPENING]
    if not own:
        return False
    last = own[-1]
    begun_back = last.data.get("direction") == Direction.BACK and last.name in IN_FORCE
    return last.name in {"intent", "unknown"} or begun_back


def was_refused(events: Iterable[Event], step: int) -> bool:
    """Whether Proxmox VE refused a request of the step; it may have done half of it."""
    own = _of(events, step, Direction.FORWARD)
    return any(event.name == "refused" and not event.data.get("unsent") for event in own)


def is_delivered(events: Iterable[Event], step: int) -> bool:
    """Whether the sink of a step has its secret."""
    return any(event.name == "delivered" and event.step == step for event in events)


def open_order(
    events: Sequence[Event], steps: Sequence[Step]
) -> tuple[OutgoingRequest, float] | None:
    """The request that was announced last, if its outcome was never recorded, and when (Unix
    seconds) it was announced."""
    for event in reversed(events):
        if event.name in SETTLED:
            return None
        if event.name == "intent":
            return _order(event, steps), float(event.data["time"])
    return None


def _order(event: Event, steps: Sequence[Step]) -> OutgoingRequest:
    data = event.data
    changes = _carried(event) or steps[event.step].changes
    request = Request.from_json(data["request"])
    return OutgoingRequest(event.step, Direction(data["direction"]), request, changes)


def _carried(event: Event) -> tuple[Change, ...]:
    """The changes of a request that are not simply those of its step."""
    known = specs()
    return tuple(Change.from_json(change, known) for change in event.data.get("changes", ()))


def recorded(events: Iterable[Event], steps: Sequence[Step], step: int) -> tuple[Change, ...]:
    """Every change that was announced for a step, those of the plan first."""
    extra = (c for e in events if e.name == "intent" and e.step == step for c in _carried(e))
    return (*steps[step].changes, *extra)


def going_back(events: Sequence[Event]) -> bool:
    """Whether the run of these events is on the way back, and has not come to its end."""
    turns = [event for event in events if event.name in {"begin", "rollback", "continued"}]
    if not turns or is_finished(events):
        return False
    return turns[-1].name == "rollback" or bool(turns[-1].data.get("back"))


def has_turned(events: Iterable[Event]) -> bool:
    """Whether the way back was begun and has not come to an end since."""
    names = [event.name for event in events if event.name in {"begin", "rollback", "end"}]
    return names[-1:] == ["rollback"] or names[-2:] == ["rollback", "end"]


def final(events: Sequence[Event], steps: Sequence[Step]) -> str:
    """The first irreversible change whose request came into force, or may have, as far as the
    journal tells; "" for none."""
    for number in sorted(announced(events)):
        for change in steps[number].changes:
            if kind_of(change.address).undo(change) is Undo.NONE and was_in_force(events, number):
                return str(change.address)
    return ""


def is_overtaken(events: Iterable[Event]) -> bool:
    """Whether another run may have written since this one stopped; once true, always true."""
    return any(event.name == OVERTAKEN for event in events)


def is_disowned(events: Iterable[Event], step: int) -> bool:
    """Whether nobody knows if this run or another one made what a step makes."""
    own = [event.name for event in _of(events, step, Direction.FORWARD) if event.name in OPENING]
    return own[-1:] == ["disowned"]


def is_resumed(events: Iterable[Event]) -> bool:
    """Whether the run was interrupted and went on later."""
    return any(event.name == "continued" for event in events)


def is_unbroken(events: Sequence[Event], numbers: Collection[int]) -> bool:
    """Whether nobody else had the lock on the cluster since this run had it.

    `numbers`: claims and fencing numbers of the lock objects that are there. Whoever takes the lock
    first removes all that are there, so the run's own one is the proof. A run that has announced
    nothing has nothing to lose.
    """
    if is_overtaken(events):
        return False
    if not announced(events):
        return True
    held = [event.data for event in events if event.name in {"taking", "locked"}]
    return bool(held) and bool(_numbers(held[-1]).intersection(numbers))


def last_time(events: Iterable[Event]) -> float:
    """When the run recorded something last, in Unix seconds; 0 where it never did."""
    return max((float(event.data["time"]) for event in events if "time" in event.data), default=0.0)


def is_late(events: Iterable[Event]) -> bool:
    """Whether the run went on after its lease had ended: others may rely on what it did."""
    return any(event.name == "taking" and event.data.get("late") for event in events)


def _numbers(data: Mapping[str, Any]) -> set[int]:
    return {int(data[name]) for name in ("claim", "fence") if name in data}


def asked_for(events: Iterable[Event]) -> bool:
    """Whether the run was turned round because somebody wanted it, not because it failed."""
    causes = [event.data.get("cause", {}) for event in events if event.name == "rollback"]
    return bool(causes) and causes[-1].get("code") == ASKED
