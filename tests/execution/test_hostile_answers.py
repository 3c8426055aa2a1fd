"""Answers that Proxmox VE would never send, at each read and write of a run and its rollback.

A lie in the right shape cannot be told from the truth; what has another shape must do no harm: the
run ends as declared or as before, or a person resumes it once the cluster answers again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from reconciler.errors import RequestRefused, UnexpectedAnswer
from reconciler.live.answer_check import CheckedApi, check_answer
from reconciler.model.request import Request
from reconciler.model.spec import State
from tests.execution.checks import pivot
from tests.execution.size import count, on_pairs, some
from tests.execution.worlds import Bench, bench, is_as_before, is_declared, world
from tests.support.engine import Passing


def deep(levels: int) -> Any:
    nested: Any = []
    for _ in range(levels):
        nested = [nested]
    return nested


HOSTILE: Mapping[str, Any] = {
    "null": None,
    "text": "x\x1b[2J",
    "number": 10**30,
    "rows of null": [None],
    "rows of lists": [[]],
    "names of another sort": [{"userid": 5, "groupid": [], "path": {}, "id": "../../x\n"}],
    "depth": deep(500),
    "markup": {"<script>": {"\u202e": "=cmd"}},
}


@dataclass
class Hostile(Passing):
    """From the answer of a number on, counted from 1, so many are something else, where that can be
    told; `refused_at` is the number of the write that is refused, to see the rollback, too."""

    value: Any = None
    at: int = 0
    times: int = 1
    refused_at: int = 0
    answers: int = field(default=0, init=False)
    writes: int = field(default=0, init=False)

    def get(self, requests: Sequence[Request]) -> list[Any]:
        return [
            self._other(asked, answer)
            for asked, answer in zip(requests, self.api.get(requests), strict=True)
        ]

    def send(self, request: Request, secrets: Mapping[str, str] | None = None) -> Any:
        self.writes += 1
        if self.writes == self.refused_at:
            raise RequestRefused(500, "update failed: something is wrong")
        answer = self.api.send(request, secrets)
        return self._other(request, answer)

    def _other(self, request: Request, answer: Any) -> Any:
        self.answers += 1
        if not self.at <= self.answers < self.at + self.times:
            return answer
        if request.method == "GET":
            with contextlib.suppress(UnexpectedAnswer):
                check_answer(request, self.value)
                return answer
        return self.value


def does_no_harm(ready: Bench, second: State, hostile: Hostile) -> None:
    report, path = ready.apply(CheckedApi(hostile))
    if not (report.complete or report.restored):
        report = ready.resume(path)
    if report.complete:
        is_declared(ready.world, second)
    else:
        assert report.restored, (hostile, report)
        is_as_before(ready.world, ready.before)
    ready.reset()
    count("hostile answer")


def points(ready: Bench, refused_at: int = 0) -> Sequence[tuple[str, int]]:
    """Each hostile value at each answer of the run."""
    total = Hostile(ready.world.api, refused_at=refused_at)
    ready.apply(CheckedApi(total))
    ready.reset()
    return [(name, at) for at in range(1, total.answers + 1) for name in HOSTILE]


@pytest.mark.parametrize("times", [1, 4, 10**6])
@on_pairs(1, 10)
def test_answers_of_another_shape_do_no_harm(times: int, first: State, second: State) -> None:
    with world() as there:
        ready = bench(there, first, second)
        for name, at in some(points(ready), 24):
            does_no_harm(ready, second, Hostile(there.api, HOSTILE[name], at, times))


@pytest.mark.parametrize("times", [1, 10**6])
@on_pairs(1, 10)
def test_nor_do_they_while_a_run_is_rolled_back(times: int, first: State, second: State) -> None:
    with world() as there:
        ready = bench(there, first, second)
        refused = min(pivot(ready), len(ready.plan.steps))
        for name, at in some(points(ready, refused), 24):
            does_no_harm(ready, second, Hostile(there.api, HOSTILE[name], at, times, refused))
