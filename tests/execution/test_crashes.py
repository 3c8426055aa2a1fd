"""Random plans over all kinds, killed, refused and cut off at each of their requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from reconciler.model.spec import State
from tests.execution import checks
from tests.execution.size import on_pairs, some
from tests.execution.worlds import Bench, bench, world
from tests.support.random_states import with_sinks


def few(points: Sequence[int]) -> Sequence[int]:
    return some(points, 4)


@contextmanager
def ready(first: State, second: State) -> Iterator[Bench]:
    with world() as cluster:
        yield bench(cluster, with_sinks(dict(first)), with_sinks(dict(second)))


@on_pairs(4, 25)
def test_a_refusal_at_any_request_gives_back_what_was_there(first: State, second: State) -> None:
    with ready(first, second) as plan:
        checks.refusals_are_undone(plan, few)


@on_pairs(4, 25)
def test_a_refusal_past_the_point_of_no_return_only_goes_forward(
    first: State, second: State
) -> None:
    with ready(first, second) as plan:
        checks.refusals_past_the_pivot_go_forward(plan, second, few)


@on_pairs(4, 25)
def test_a_killed_run_is_resumed_and_nothing_is_sent_twice(first: State, second: State) -> None:
    with ready(first, second) as plan:
        checks.killed_is_resumed(plan, second, few)


@on_pairs(4, 25)
def test_a_run_that_is_killed_again_when_it_is_resumed(first: State, second: State) -> None:
    with ready(first, second) as plan:
        checks.killed_twice_is_resumed(plan, second, few)


@on_pairs(4, 25)
def test_a_killed_run_is_rolled_back(first: State, second: State) -> None:
    with ready(first, second) as plan:
        checks.killed_is_rolled_back(plan, few)


@on_pairs(4, 25)
def test_a_rollback_that_is_killed_is_resumed(first: State, second: State) -> None:
    with ready(first, second) as plan:
        checks.rollback_killed_is_resumed(plan, few)


@on_pairs(4, 25)
def test_a_lost_answer_is_settled_by_reading(first: State, second: State) -> None:
    with ready(first, second) as plan:
        checks.lost_answers_are_settled(plan, second, few)


@on_pairs(4, 25)
def test_a_late_answer_is_awaited(first: State, second: State) -> None:
    with ready(first, second) as plan:
        checks.late_answers_are_awaited(plan, second, few)


@on_pairs(4, 25)
def test_a_request_under_way_when_the_run_was_killed_is_awaited(
    first: State, second: State
) -> None:
    with ready(first, second) as plan:
        checks.crash_with_a_late_request(plan, second, few)


@on_pairs(4, 25)
def test_a_busy_lock_is_waited_for(first: State, second: State) -> None:
    with ready(first, second) as plan:
        checks.busy_locks_are_waited_for(plan, second, few)
        checks.half_done_locks_are_noticed(plan, second, few)
