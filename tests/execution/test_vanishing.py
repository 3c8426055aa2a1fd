"""The cluster goes out of reach in the middle of a run: how long that is borne, what is said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from reconciler.errors import RequestRefused, UnknownOutcome, Unreachable
from reconciler.execution.apply import apply_plan
from reconciler.execution.journal.journal import Journal, read_journal
from reconciler.execution.run.context import SETTLE, Progress, RunContext
from reconciler.model.api import Api
from reconciler.model.request import Request
from reconciler.model.run import Outcome, RunReport
from reconciler.model.run_state import RunState
from tests.execution.test_tokens import STATE
from tests.execution.worlds import Bench, World, bench, is_as_before, is_declared, world
from tests.support.engine import Passing


@pytest.fixture
def cluster() -> Iterator[World]:
    with world() as made:
        yield made


@dataclass
class Vanishing(Passing):
    """An `Api` that answers nothing any more after the write of this number; `loses`: not even
    that one, although it arrived. `refuses`: the write that is refused before."""

    after: int
    loses: bool = False
    refuses: int = 0
    writes: int = 0

    def get(self, requests: Sequence[Request]) -> list[Any]:
        self._refuse_when_gone()
        return self.api.get(requests)

    def send(self, request: Request, secrets: Mapping[str, str] | None = None) -> Any:
        self._refuse_when_gone()
        self.writes += 1
        if self.writes == self.refuses:
            raise RequestRefused(403, "no")
        answer = self.api.send(request, secrets)
        if self.loses and self.writes == self.after:
            raise UnknownOutcome("no answer in time")
        return answer

    def _refuse_when_gone(self) -> None:
        if self.writes >= self.after:
            raise Unreachable("https://pve:8006 did not answer: connection refused")


def run(plan: Bench, api: Api) -> tuple[RunReport, list[Progress], float]:
    """What an apply ends with, what it says, and how many seconds it takes."""
    said: list[Progress] = []
    path = plan.begin()
    began = plan.clock.now()
    with Journal.open(path) as journal:
        made = RunContext(
            api, plan.plan.steps, journal, plan.clock, plan.secrets, plan.lease, said.append
        )
        result = apply_plan(made)
    return result, said, plan.clock.now() - began


@pytest.mark.parametrize("loses", [False, True])
def test_the_wait_is_reported_and_bounded_and_nothing_unsent_is_unknown(
    cluster: World, loses: bool
) -> None:
    plan = bench(cluster, {}, STATE)
    result, said, took = run(plan, Vanishing(cluster.api, 2, loses=loses))
    assert took <= SETTLE + 10
    waits = [one.text for one in said if one.number == 0]
    assert len(waits) > 5
    assert all("did not answer" in text and " UTC)" in text for text in waits)
    assert result.outcome == "stopped"
    assert isinstance(result.failure, Unreachable)
    assert not result.trouble
    assert not result.verified
    first, second, *later = (became for _, became in result.objects)
    assert first is Outcome.DONE
    assert second is (Outcome.UNKNOWN if loses else Outcome.DONE)
    assert set(later) == {Outcome.UNTOUCHED}


def test_a_run_stopped_by_an_unreachable_cluster_continues_forward(cluster: World) -> None:
    plan = bench(cluster, {}, STATE)
    path = plan.begin()
    plan.apply(Vanishing(cluster.api, 2), path)
    assert not RunState.of(read_journal(path)).is_finished
    assert plan.resume(path).complete
    is_declared(cluster, STATE)


def test_or_is_rolled_back_on_request(cluster: World) -> None:
    plan = bench(cluster, {}, STATE)
    path = plan.begin()
    plan.apply(Vanishing(cluster.api, 2), path)
    assert plan.roll_back(path).restored
    is_as_before(cluster, plan.before)


def test_an_unverified_rollback_stays_open(cluster: World) -> None:
    """The cluster goes after the last request of the rollback."""
    plan = bench(cluster, {}, STATE)
    path = plan.begin()
    result, _ = plan.apply(Vanishing(cluster.api, after=5, refuses=3), path)
    assert result.failure is not None
    assert not result.restored
    assert not RunState.of(read_journal(path)).is_finished
    assert result.back
    assert plan.resume(path).restored
    is_as_before(cluster, plan.before)
