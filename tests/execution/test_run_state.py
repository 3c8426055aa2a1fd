"""The state of a run: folded from its journal once, and up to date after each event."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reconciler.errors import JournalBroken
from reconciler.execution.journal import store
from reconciler.execution.journal.replay import point_of_no_return, replay
from reconciler.kinds.group import GroupSpec
from reconciler.model.address import Address
from reconciler.model.run import Event
from reconciler.model.run_state import RunState, StepState
from tests.execution.worlds import World, bench, world
from tests.support.engine import NOW


@pytest.fixture
def cluster() -> Iterator[World]:
    with world() as made:
        yield made


def event(name: str, step: int = -1, direction: str = "forward", **data: Any) -> Event:
    own = {"step": step, "direction": direction} if step >= 0 else {}
    return Event(name, {**own, **data})


def intent(step: int, direction: str = "forward") -> Event:
    return event("intent", step, direction, time=float(NOW), request={})


BACK = "back"
STATES: dict[str, tuple[list[Event], StepState]] = {
    "nothing": ([], StepState.NOT_STARTED),
    "sent": ([intent(0)], StepState.ANNOUNCED),
    "one of two": ([intent(0), event("done", 0, more=True)], StepState.PARTLY_DONE),
    "seen later": ([intent(0), event("found", 0)], StepState.CONFIRMED),
    "refused": ([intent(0), event("refused", 0)], StepState.REFUSED),
    "unseen": ([intent(0), event("unknown", 0)], StepState.UNKNOWN),
    "done": ([intent(0), event("done", 0)], StepState.DONE),
    "skipped": ([event("skipped", 0)], StepState.SKIPPED),
}


@pytest.mark.parametrize("name", STATES)
def test_each_step_has_a_state(name: str) -> None:
    events, expected = STATES[name]
    assert RunState.of(events).step(0).state is expected


def test_a_rolled_back_step_is_undone_and_the_run_knows_its_direction() -> None:
    state = RunState.of([event("begin"), intent(0), event("done", 0)])
    assert (state.touched, state.is_rolling_back) == ([0], False)
    state.add(event("rollback", cause={"code": "E_ASKED"}))
    assert state.is_rolling_back
    assert state.is_requested
    state.add(intent(0, BACK))
    assert state.step(0).is_open
    state.add(event("done", 0, BACK))
    assert state.step(0).is_undone
    state.add(event("end", outcome="rolled back"))
    assert state.is_finished
    assert not state.is_rolling_back


BROKEN: dict[str, list[Event]] = {
    "outcome of nothing": [event("begin"), event("found", 0)],
    "rollback of nothing": [event("begin"), event("done", 0, BACK)],
    "secret of nothing": [event("begin"), event("delivered", 0)],
    "two requests at once": [event("begin"), intent(0), intent(1)],
    "after the end": [event("begin"), event("end"), intent(0)],
    "beyond the plan": [event("begin"), intent(7)],
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_sequence_that_no_run_writes_is_refused(name: str, cluster: World) -> None:
    plan = bench(cluster, {}, {Address("group", f"g{n}"): GroupSpec() for n in range(2)}).plan
    with pytest.raises(JournalBroken, match="contradicts itself"):
        replay(BROKEN[name], plan.steps)


def test_the_state_of_a_real_run_is_that_of_its_journal_read_again(cluster: World) -> None:
    plan = bench(cluster, {}, {Address("group", f"g{n}"): GroupSpec() for n in range(3)})
    result, path = plan.apply(plan.world.api)
    stored, state = store.load(path)
    assert result.complete
    assert state.is_finished
    assert {state.step(n).state for n in range(len(stored.steps))} == {StepState.DONE}
    assert point_of_no_return(state, stored.steps) == ""


class Counted(list[Event]):
    """Events that count how often one of them is read."""

    reads = 0

    def __iter__(self) -> Iterator[Event]:
        for one in super().__iter__():
            Counted.reads += 1
            yield one

    def __getitem__(self, index: Any) -> Any:
        Counted.reads += 1
        return super().__getitem__(index)


def test_the_work_grows_with_the_number_of_steps_and_not_with_its_square() -> None:
    """Each question is asked after each event, as a run does; the events are not read again."""
    questions: list[Callable[[RunState, int], object]] = [
        lambda state, n: state.step(n).is_complete,
        lambda state, n: state.step(n).is_touched,
        lambda state, n: state.step(n).is_undone,
        lambda state, n: state.is_overtaken,
        lambda state, n: state.open_intent,
        lambda state, n: state.is_rolling_back,
    ]

    def work(steps: int) -> int:
        Counted.reads = 0
        state = RunState(events=Counted())
        for number in range(steps):
            for one in (intent(number), event("done", number)):
                state.add(one)
                for ask in questions:
                    ask(state, number)
        return Counted.reads

    assert work(2_000) <= 2 * work(1_000) + 10
