"""Somebody else changes the same objects: theirs is left alone, ours is undone."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.model.spec import State
from tests.execution import rivals
from tests.execution.pair import FIRST, SECOND
from tests.execution.size import on_pairs, some
from tests.execution.test_tokens import STATE
from tests.execution.worlds import bench, world


def few(points: Sequence[int]) -> Sequence[int]:
    return some(points, 6)


@on_pairs(6, 60)
def test_a_change_of_somebody_else_before_a_request_stops_the_run(
    first: State, second: State
) -> None:
    with world() as cluster:
        rivals.conflicts_stop_the_run(bench(cluster, first, second), few)


@on_pairs(6, 100)
def test_a_change_of_somebody_else_after_a_request_is_seen_at_the_end(
    first: State, second: State
) -> None:
    with world() as cluster:
        rivals.conflicts_are_seen_at_the_end(bench(cluster, first, second), few)


@on_pairs(6, 60)
def test_a_concurrent_change_within_the_two_seconds_is_never_misreported(
    first: State, second: State
) -> None:
    with world() as cluster:
        rivals.rivals_inside_the_two_seconds(bench(cluster, first, second), few)


@on_pairs(3, 60)
def test_a_look_that_grew_too_old_is_taken_again_before_anything_is_sent(
    first: State, second: State
) -> None:
    with world() as cluster:
        rivals.old_looks_are_taken_again(bench(cluster, first, second), lambda at: some(at, 3))


def test_what_somebody_else_changed_back_stops_the_run_at_the_next_look() -> None:
    with world() as cluster:
        rivals.conflicts_are_told_before_the_end(bench(cluster, FIRST, SECOND))


def test_nothing_irreversible_is_sent_before_all_behind_is_verified() -> None:
    with world() as cluster:
        rivals.nothing_irreversible_on_an_unverified_past(cluster)


def test_a_new_user_is_kept_if_somebody_else_added_dependents() -> None:
    with world() as cluster:
        rivals.what_hangs_on_it_is_kept(bench(cluster, {}, STATE))
