"""Somebody else changes the same objects: theirs is left alone, ours is undone."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.model.spec import State
from tests.execution import rivals
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


def test_what_somebody_else_hung_on_a_new_user_keeps_it() -> None:
    with world() as cluster:
        rivals.what_hangs_on_it_is_kept(bench(cluster, {}, STATE))
