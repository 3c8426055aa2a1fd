"""Exceptions that nobody foresaw, at every point of a run: it ends like a refusal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import Bug, ExitStatus, UnexpectedAnswer
from reconciler.execution.apply import apply_plan
from reconciler.execution.journal.journal import Journal
from reconciler.kinds.group import GroupSpec
from reconciler.kinds.role import RoleSpec
from reconciler.kinds.token import TokenSpec
from reconciler.kinds.user.table import UserSpec
from reconciler.live.answer_check import CheckedApi
from reconciler.model.address import Address
from reconciler.model.request import Request
from reconciler.model.run import RunReport
from reconciler.model.secret import SecretSink
from tests.execution.worlds import Bench, World, bench, is_as_before, world
from tests.support.engine import Passing

FIRST = {Address("role", "Old"): RoleSpec(privileges=("VM.Audit",))}
SECOND = {
    Address("role", "Old"): RoleSpec(privileges=("VM.Audit", "VM.Backup")),
    Address("group", "ops"): GroupSpec(comment="new"),
    Address("user", "new@pve"): UserSpec(groups=("ops",)),
    Address("token", "new@pve!t1"): TokenSpec(secret_to=SecretSink(file="secrets/t1")),
}
CANARY = "c4n4ry-c4n4ry"


class Points:
    """Counts what happens; raises at the point of a number, or from there on."""

    def __init__(self, at: int = 0, *, on: bool = False) -> None:
        self.at, self.on, self.passed = at, on, 0

    def pass_one(self) -> None:
        self.passed += 1
        if self.at and (self.passed >= self.at if self.on else self.passed == self.at):
            raise RecursionError(CANARY)


@dataclass
class Breaking(Passing):
    """An `Api` that breaks around requests: before they are sent, or with the answer."""

    points: Points = field(default_factory=Points)

    def get(self, requests: Sequence[Request]) -> list[Any]:
        self.points.pass_one()
        return self.api.get(requests)

    def send(self, request: Request, secrets: Mapping[str, str] | None = None) -> Any:
        self.points.pass_one()
        answer = self.api.send(request, secrets)
        self.points.pass_one()
        return answer


@pytest.fixture
def ready() -> Iterator[tuple[World, Bench]]:
    with world() as there:
        yield there, bench(there, FIRST, SECOND)


def run(
    ready: Bench, api: Any, tell: Callable[[Any], None] = lambda _: None
) -> tuple[RunReport, Path]:
    path = ready.begin()
    with Journal.open(path) as journal:
        going = ready.run(api, journal)
        going.notify_progress = tell
        return apply_plan(going), path


def test_an_exception_at_any_request_takes_everything_back(ready: tuple[World, Bench]) -> None:
    there, plan = ready
    total = Points()
    assert run(plan, Breaking(there.api, total))[0].complete
    plan.reset()
    for at in range(1, total.passed + 1):
        report, path = run(plan, Breaking(there.api, Points(at)))
        assert isinstance(report.failure, Bug), at
        assert "RecursionError in pass_one" in report.failure.summary
        assert report.restored, (at, report)
        is_as_before(there, plan.before)
        assert CANARY not in path.read_text()
        assert plan.secrets.delivered == {}
    assert total.passed > 8


def test_a_cluster_that_nobody_can_read_any_more_leaves_a_journal_to_resume(
    ready: tuple[World, Bench],
) -> None:
    there, plan = ready
    report, path = run(plan, Breaking(there.api, Points(8, on=True)))
    assert not report.verified
    assert not Journal.open(path).state.is_finished
    assert plan.resume(path).restored
    is_as_before(there, plan.before)


@dataclass
class Garbling(Passing):
    """Answers nothing instead of a list, from the read of a number on, so many times."""

    at: int
    times: int
    reads: int = 0

    def get(self, requests: Sequence[Request]) -> list[Any]:
        self.reads += 1
        answers = self.api.get(requests)
        return [None] * len(answers) if self.at <= self.reads < self.at + self.times else answers


def test_one_answer_that_makes_no_sense_is_asked_for_again(ready: tuple[World, Bench]) -> None:
    there, plan = ready
    garbling = Garbling(there.api, 10**6, 1)
    assert run(plan, CheckedApi(garbling))[0].complete
    for at in range(1, garbling.reads + 1):
        plan.reset()
        report, _ = run(plan, CheckedApi(Garbling(there.api, at, 1)))
        assert report.complete, at


def test_answers_that_make_no_sense_any_more_stop_the_run_as_silence_does(
    ready: tuple[World, Bench],
) -> None:
    there, plan = ready
    report, path = run(plan, CheckedApi(Garbling(there.api, 2, 10**6)))
    assert isinstance(report.failure, UnexpectedAnswer)
    assert "is not a valid answer of Proxmox VE: null instead of a list" in report.failure.summary
    assert not report.verified
    assert plan.resume(path).complete


def test_progress_that_cannot_be_printed_rolls_everything_back(ready: tuple[World, Bench]) -> None:
    there, plan = ready

    def tell(progress: Any) -> None:
        raise UnicodeEncodeError("ascii", CANARY, 0, 1, progress.text)

    report, _ = run(plan, there.api, tell)
    assert isinstance(report.failure, Bug)
    is_as_before(there, plan.before)


@pytest.mark.parametrize("error", [ValueError("embedded null byte"), MemoryError(), KeyError("x")])
def test_a_sink_that_breaks_takes_everything_back(
    ready: tuple[World, Bench], error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, plan = ready

    def deliver(*_: Any) -> None:
        raise error

    monkeypatch.setattr(plan.secrets, "deliver", deliver)
    report, _ = run(plan, there.api)
    assert report.restored
    assert report.failure is not None
    assert report.failure.exit_status == ExitStatus.BUG
    is_as_before(there, plan.before)
