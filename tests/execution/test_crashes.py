"""Random plans over all kinds, killed, refused and cut off at each of their requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.errors import ApplyNotRestored
from reconciler.execution.journal import store
from reconciler.kinds.token import TokenSpec
from reconciler.kinds.user.table import UserSpec
from reconciler.model.address import Address
from reconciler.model.spec import Spec, State
from tests.bench.long_journal import long_journal
from tests.execution import checks
from tests.execution.injected import kill_before
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


def test_a_rollback_that_is_impossible_is_refused_at_once() -> None:
    """The second of two irreversible requests is under way; it can change nothing any more."""
    tokens = {Address("token", f"a@pve!{name}"): TokenSpec() for name in ("one", "two")}
    user: dict[Address, Spec] = {Address("user", "a@pve"): UserSpec()}
    with world() as cluster:
        plan = bench(cluster, {**user, **tokens}, user)
        assert checks.pivot(plan) == 1
        path, _ = checks.crash(plan, kill_before(2))
        began = plan.clock.now()
        with pytest.raises(ApplyNotRestored, match="is irreversible and was applied"):
            plan.roll_back(path)
        assert plan.clock.now() == began
        assert plan.resume(path).complete


def test_a_long_journal_is_read(tmp_path: Path) -> None:
    plan, state = store.load(long_journal(tmp_path, 1_500))
    assert len(state.announced) == len(plan.steps) == 1_500
