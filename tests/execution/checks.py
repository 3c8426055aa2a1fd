"""What must hold whatever happens, fault by fault; each raises AssertionError where it does not."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reconciler.execution.journal.journal import read_journal
from reconciler.execution.run.observation import is_hidden
from reconciler.model.change import Undo
from reconciler.model.request import Request
from reconciler.model.run import DONE, ROLLED_BACK, RunReport
from reconciler.model.spec import State
from tests.execution.injected import (
    REFUSALS,
    Fault,
    Killed,
    Late,
    bare,
    busy,
    busy_after,
    harmless,
    kill_after,
    kill_before,
    lose_after,
    lose_before,
    refuse,
    writes,
)
from tests.execution.size import count
from tests.execution.worlds import Bench, is_as_before, is_declared
from tests.support.engine import Faulty

Points = Callable[[Sequence[int]], Sequence[int]]
"""Chooses where to inject."""


def all_points(points: Sequence[int]) -> Sequence[int]:
    return points


def requests(bench: Bench) -> Sequence[int]:
    """Numbers of the plan's requests, from 1."""
    return range(1, len(bench.plan.steps) + 1)


def pivot(bench: Bench) -> int:
    """Number of the first irreversible request; one after the last where there is none."""
    found = [n for n, s in enumerate(bench.plan.steps, 1) if s.undo is Undo.NONE]
    return found[0] if found else len(bench.plan.steps) + 1


def executed(bench: Bench, fault: Fault) -> tuple[Faulty, list[Request]]:
    """`bench`'s cluster behind a fault, and the requests that really arrive there."""
    arrived: list[Request] = []

    def passing(number: int, request: Request, send: Callable[[], Any]) -> Any:
        def really() -> Any:
            arrived.append(bare(request))
            return send()

        return fault(number, request, really)

    return writes(bench.world.api, passing), arrived


def crash(bench: Bench, fault: Fault, path: Path | None = None) -> tuple[Path, list[Request]]:
    """Run until the fault kills it; the journal, and the requests that arrived."""
    api, arrived = executed(bench, fault)
    path = path or bench.begin()
    try:
        bench.apply(api, path)
    except Killed:
        return path, arrived
    raise AssertionError("it was not killed")


def never_twice(bench: Bench, arrived: Iterable[Request]) -> None:
    """No request arrived more than once. A new password may, since nobody can see it arrive; and
    what is recreated, with its dependents, is deleted and recreated once more by the rollback."""
    steps = bench.plan.steps
    hidden = {bare(step.request) for step in steps if any(map(is_hidden, step.changes))}
    hidden |= _repeated(bench)
    twice = [r for r, times in Counter(arrived).items() if times > 1 and r not in hidden]
    assert not twice, twice


def _repeated(bench: Bench) -> set[Request]:
    """Deletions of what is recreated, and both changes of its dependents."""
    changes = bench.plan.changes
    made = {change.address for change in changes if change.before is None}
    again = {change.address for change in changes if change.after is None} & made
    times = Counter(change.address for change in changes)
    return {
        bare(step.request)
        for step in bench.plan.steps
        for change in step.changes
        if again and times[change.address] > 1
    }


def is_restored(bench: Bench, report: RunReport) -> None:
    """Said to be as before, and really is; what cannot be given back is named."""
    assert report.restored, report
    is_as_before(bench.world, bench.before)


def refusals_are_undone(bench: Bench, points: Points = all_points) -> None:
    for at in points(range(1, min(pivot(bench), len(bench.plan.steps)) + 1)):
        for refusal in REFUSALS:
            report, path = bench.apply(writes(bench.world.api, refuse(at, *refusal)))
            assert report.outcome == ROLLED_BACK, report
            is_restored(bench, report)
            assert read_journal(path)[-1].name == "end"
            bench.reset()
            count("refusal")


def refusals_past_the_pivot_go_forward(bench: Bench, state: State, points: Points) -> None:
    """Nothing is rolled back any more; once the cause is gone, `resume` finishes it."""
    for at in points(range(pivot(bench) + 1, len(bench.plan.steps) + 1)):
        report, path = bench.apply(writes(bench.world.api, refuse(at, *REFUSALS[0])))
        assert report.outcome == "stuck", report
        assert not report.restored
        again = bench.resume(path)
        assert again.complete, again
        is_declared(bench.world, state)
        bench.reset()
        count("refusal past the pivot")


def killed_is_resumed(bench: Bench, state: State, points: Points = all_points) -> None:
    for kill in (kill_before, kill_after):
        for at in points(requests(bench)):
            path, first = crash(bench, kill(at))
            api, second = executed(bench, harmless)
            report = bench.resume(path, api)
            assert report.complete, report
            is_declared(bench.world, state)
            never_twice(bench, [*first, *second])
            bench.reset()
            count("kill, resume")


def killed_is_rolled_back(bench: Bench, points: Points = all_points) -> None:
    """Up to the first irreversible request: it may be announced, but not have arrived."""
    for kill in (kill_before, kill_after):
        last = pivot(bench) - (kill is kill_after)
        for at in points(range(1, min(last, len(bench.plan.steps)) + 1)):
            path, first = crash(bench, kill(at))
            api, second = executed(bench, harmless)
            report = bench.roll_back(path, api)
            is_restored(bench, report)
            never_twice(bench, [*first, *second])
            bench.reset()
            count("kill, rollback")


def killed_twice_is_resumed(bench: Bench, state: State, points: Points = all_points) -> None:
    """The second crash comes at the first request of the resumed run."""
    for at in points(requests(bench)[:-1]):
        path, first = crash(bench, kill_before(at))
        api, second = executed(bench, kill_after(1))
        try:
            bench.resume(path, api)
        except Killed:
            third = bench.resume(path)
            assert third.complete, third
        is_declared(bench.world, state)
        never_twice(bench, [*first, *second])
        bench.reset()
        count("killed twice, resume")


def rollback_killed_is_resumed(bench: Bench, points: Points = all_points) -> None:
    """A refusal at the last reversible request starts the rollback; each step of it is cut once."""
    turn = min(pivot(bench), len(bench.plan.steps))
    for kill in (kill_before, kill_after):
        for at in points(range(1, turn)):
            path, _ = _cut_way_back(bench, turn, kill, at)
            if path is None:
                continue
            report = bench.resume(path)
            is_restored(bench, report)
            bench.reset()
            count("kill in the rollback, resume")


def _cut_way_back(
    bench: Bench, turn: int, kill: Callable[[int], Fault], at: int
) -> tuple[Path | None, list[Request]]:
    def fault(number: int, request: Request, send: Callable[[], Any]) -> Any:
        if number < turn:
            return send()
        if number == turn:
            return refuse(turn, *REFUSALS[0])(number, request, send)
        return kill(at)(number - turn, request, send)

    api, arrived = executed(bench, fault)
    path = bench.begin()
    try:
        report, _ = bench.apply(api, path)
    except Killed:
        return path, arrived
    is_restored(bench, report)
    bench.reset()
    return None, arrived


def lost_answers_are_settled(bench: Bench, state: State, points: Points = all_points) -> None:
    for lose in (lose_before, lose_after):
        for at in points(requests(bench)):
            api, arrived = executed(bench, lose(at))
            report, _ = bench.apply(api)
            never_twice(bench, arrived)
            ended_as_reported(bench, state, report)
            bench.reset()
            count("lost answer")


def late_answers_are_awaited(bench: Bench, state: State, points: Points = all_points) -> None:
    for at in points(requests(bench)):
        api = Late(bench.world.api, bench.clock, at)
        report, _ = bench.apply(api)
        never_twice(bench, map(bare, api.sent))
        ended_as_reported(bench, state, report)
        assert not api.waiting
        bench.reset()
        count("late answer")


def crash_with_a_late_request(bench: Bench, state: State, points: Points = all_points) -> None:
    """The process dies while its request is in flight; that takes effect 70 s later."""
    for at in points(requests(bench)):
        for back in (False, True):
            api = Late(bench.world.api, bench.clock, at, dies=True)
            path = bench.begin()
            with contextlib.suppress(Killed):
                bench.apply(api, path)
            if back and at < pivot(bench):
                is_restored(bench, bench.roll_back(path, api))
            else:
                report = bench.resume(path, api)
                assert report.complete, report
                is_declared(bench.world, state)
            assert not api.waiting
            bench.reset()
            count("crash with a request under way")


def ended_as_reported(bench: Bench, state: State, report: RunReport) -> None:
    """At the aim or where it began; never a mix."""
    if report.outcome == DONE:
        assert report.complete, report
        is_declared(bench.world, state)
    else:
        is_restored(bench, report)


def busy_locks_are_waited_for(bench: Bench, state: State, points: Points = all_points) -> None:
    for at in points(requests(bench)):
        api, arrived = executed(bench, busy(at, 2))
        report, _ = bench.apply(api)
        assert report.complete, report
        is_declared(bench.world, state)
        never_twice(bench, arrived)
        bench.reset()
        count("busy lock")


def half_done_locks_are_noticed(bench: Bench, state: State, points: Points = all_points) -> None:
    """PVE reports a busy lock, but the request took effect: it needed a second lock."""
    for at in points(requests(bench)):
        api, arrived = executed(bench, busy_after(at))
        report, _ = bench.apply(api)
        assert report.complete, report
        is_declared(bench.world, state)
        never_twice(bench, arrived)
        bench.reset()
        count("lock message after the commit")


def delivered_secrets_are_those_of_the_cluster(bench: Bench) -> None:
    """Each token whose secret was delivered works with it, and no dead one was delivered."""
    known = _token_secrets(bench.world.files())
    for token, secret in bench.secrets.delivered.items():
        assert known.get(token) == secret, token


def _token_secrets(files: Mapping[str, bytes]) -> dict[str, str]:
    lines = files["priv/token.cfg"].decode().splitlines()
    return {line.split(" ")[0]: line.split(" ")[1] for line in lines}
