"""One writer per cluster: who has the lock, who gets it next, and what a dead run leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.errors import Locked, Refused, RequestRefused, UnknownOutcome, Unreachable
from reconciler.execution.apply import apply_plan, resume_run
from reconciler.execution.journal.journal import Journal, read_journal
from reconciler.execution.lock.cluster import ClusterLock, Writer, acquire, one_writer
from reconciler.execution.lock.lease import LEASE, LOOK
from reconciler.execution.lock.local import fences, local_lock, remember_fences
from reconciler.execution.lock.record import lock_records, unlock
from reconciler.execution.run.context import RunContext
from reconciler.kinds.group import GROUPS, GroupSpec
from reconciler.model.address import Address
from reconciler.model.change import Cause, Change, Reason
from reconciler.model.plan import Plan
from reconciler.model.request import Request
from reconciler.model.run_state import RunState
from reconciler.planning.ordering.order import order
from reconciler.sandbox.http.direct import SandboxApi
from tests.execution.checks import Points, all_points
from tests.execution.injected import Killed, kill_before, lose_after, lose_before, writes
from tests.execution.size import count, on_pairs, some
from tests.execution.worlds import Bench, World, bench, is_declared, look, plan_for, world
from tests.support.engine import MemorySecrets, Passing, TestClock


@pytest.fixture
def cluster() -> Iterator[World]:
    with world() as made:
        yield made


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


def take(cluster: World, clock: TestClock, name: str, where: Path | None = None) -> ClusterLock:
    """The lock, for a machine of this name."""
    folder = where or cluster.journal.with_name(name)
    folder.mkdir(exist_ok=True)
    return acquire(cluster.api, clock, Writer(name, f"https://ci/{name}"), folder / "fence")


def test_the_lock_is_one_group_that_goes_with_the_run(cluster: World, clock: TestClock) -> None:
    before = cluster.files()["user.cfg"]
    lock = take(cluster, clock, "a")
    (row,) = cluster.api.get([GROUPS])[0]
    assert row["groupid"] == lock.mine.group == f"pvectl-lock-{lock.mine.claim}"
    assert "https://ci/a" in row["comment"]
    lock.release()
    assert cluster.files()["user.cfg"] == before


def test_a_second_run_is_refused_and_told_who_and_what_to_type(
    cluster: World, clock: TestClock
) -> None:
    lock = take(cluster, clock, "a")
    with pytest.raises(Locked) as caught:
        take(cluster, clock, "b")
    assert caught.value.exit_status == 6
    assert "a holds the lock for 300 s more (https://ci/a)" in caught.value.summary
    assert f"pvectl unlock --fence {lock.mine.fence}" in caught.value.hint


def test_an_expired_lock_is_taken_over_with_a_higher_number(
    cluster: World, clock: TestClock
) -> None:
    dead = take(cluster, clock, "a")
    clock.sleep(LEASE + 1)
    lock = take(cluster, clock, "b")
    assert lock.taken_over == (dead.mine,)
    assert lock.mine.fence > dead.mine.fence
    assert lock_records(cluster.api) == [lock.mine]
    with pytest.raises(Locked):
        dead.renew()


def test_a_lease_is_renewed_in_time(cluster: World, clock: TestClock) -> None:
    lock = take(cluster, clock, "a")
    for _ in range(10):
        clock.sleep(LEASE / 2)
        lock.renew()
        assert lock_records(cluster.api)[0].until >= clock.now() + LEASE - 1


def test_a_lease_that_cannot_be_renewed_ends_the_run_in_time(
    cluster: World, clock: TestClock
) -> None:
    lock = take(cluster, clock, "a")

    def refuse(number: int, request: Request, send: Callable[[], Any]) -> Any:
        raise UnknownOutcome("no answer in time")

    lock.api = writes(cluster.api, refuse)
    clock.sleep(LEASE / 2)
    lock.renew()
    clock.sleep(LEASE / 2 - 60)
    with pytest.raises(Locked, match="cannot be renewed"):
        lock.renew()


def test_a_dead_run_of_this_machine_does_not_lock_it_out(cluster: World, clock: TestClock) -> None:
    """The local lock proves that it is dead: no waiting for the end of its lease."""
    dead = take(cluster, clock, "a")
    lock = take(cluster, clock, "a")
    assert lock.mine.fence > dead.mine.fence
    with pytest.raises(Locked):
        take(cluster, clock, "b")


def test_a_run_that_died_before_it_made_its_lock_does_not_hide_an_older_one(
    cluster: World, clock: TestClock
) -> None:
    """The second run dies with its number kept and no lock made; the third one knows both."""
    take(cluster, clock, "a")
    folder = cluster.journal.with_name("a")
    with pytest.raises(Killed):
        acquire(writes(cluster.api, kill_before(1)), clock, Writer("a"), folder / "fence")
    assert take(cluster, clock, "a").mine.fence == max(fences(folder / "fence"))
    assert len(lock_records(cluster.api)) == 1


def test_a_lock_is_removed_by_its_number_only(cluster: World, clock: TestClock) -> None:
    lock = take(cluster, clock, "a")
    with pytest.raises(Locked):
        unlock(cluster.api, lock.mine.fence + 1)
    assert unlock(cluster.api, lock.mine.fence).owner == "a"
    clock.sleep(LOOK)
    with pytest.raises(Locked, match="lost"):
        lock.renew()


def test_a_lock_that_cannot_be_read_is_left_to_a_person(cluster: World, clock: TestClock) -> None:
    post = Request("POST", ("access", "groups"), (("groupid", "pvectl-lock-7"), ("comment", "x")))
    cluster.api.send(post)
    clock.sleep(10 * LEASE)
    with pytest.raises(Locked, match="unknown holds the lock"):
        take(cluster, clock, "a")
    unlock(cluster.api, 7)
    take(cluster, clock, "a")


def test_a_lost_answer_does_not_leave_a_lock_behind(
    cluster: World, clock: TestClock, tmp_path: Path
) -> None:
    arrived = acquire(writes(cluster.api, lose_after(1)), clock, Writer("a"), tmp_path / "fence")
    arrived.release()
    with pytest.raises(Unreachable, match="could not be taken"):
        acquire(writes(cluster.api, lose_before(1)), clock, Writer("a"), tmp_path / "fence")
    assert lock_records(cluster.api) == []


def test_without_the_right_to_make_groups_the_privilege_is_named(
    cluster: World, clock: TestClock, tmp_path: Path
) -> None:
    def forbid(number: int, request: Request, send: Callable[[], Any]) -> Any:
        raise RequestRefused(403, "Permission check failed (/access/groups, Group.Allocate)")

    with pytest.raises(Refused) as caught:
        acquire(writes(cluster.api, forbid), clock, Writer("a"), tmp_path / "fence")
    assert "Group.Allocate on /access/groups" in caught.value.hint


def test_the_number_is_kept_before_the_lock_is_made(
    cluster: World, clock: TestClock, tmp_path: Path
) -> None:
    kept: list[int] = []

    def look_at_file(number: int, request: Request, send: Callable[[], Any]) -> Any:
        kept.extend(fences(tmp_path / "fence"))
        return send()

    lock = acquire(writes(cluster.api, look_at_file), clock, Writer("a"), tmp_path / "fence")
    assert kept[0] == lock.mine.claim


def test_numbers_never_go_back_when_the_clock_does(cluster: World, tmp_path: Path) -> None:
    late, early = TestClock(2_000_000_000.0), TestClock(1_900_000_000.0)
    first = acquire(cluster.api, late, Writer("a"), tmp_path / "fence")
    first.release()
    second = acquire(cluster.api, early, Writer("a"), tmp_path / "fence")
    assert second.mine.fence > first.mine.fence


def test_two_runs_on_one_machine_exclude_each_other(tmp_path: Path) -> None:
    refused = pytest.raises(Locked, match="another pvectl on this machine")
    with local_lock(tmp_path), refused, local_lock(tmp_path):
        pass
    with local_lock(tmp_path) as numbers:
        remember_fences(numbers, [5, 7])
    assert fences(tmp_path / "fence") == {5, 7}


def test_a_lock_is_never_an_object_nor_drift(cluster: World, clock: TestClock) -> None:
    before = look(cluster.api)
    take(cluster, clock, "a")
    assert look(cluster.api) == before
    assert plan_for(cluster.api, {}).steps == ()


@settings(max_examples=60, deadline=None, database=None)
@given(st.data())
def test_of_many_that_ask_at_once_at_most_one_gets_it(data: st.DataObject) -> None:
    race(
        data.draw(st.integers(2, 10)),
        lambda: data.draw(st.integers(-5, 5)),
        lambda waiting: data.draw(st.sampled_from(waiting)),
    )


def race(number: int, skew: Callable[[], int], choose: Callable[[Any], Stepwise]) -> None:
    """Runs that are cut into their single requests, which come in any order, with clocks apart."""
    with world() as cluster:
        machines = [Stepwise(cluster, n, TestClock(2e9 + skew())) for n in range(number)]
        waiting = list(machines)
        while waiting:
            chosen = choose(waiting)
            if not chosen.step():
                waiting.remove(chosen)
        for machine in machines:
            machine.close()
        assert sum(machine.holds for machine in machines) <= 1


class Stepwise:
    """A run that asks for the lock in a thread of its own, one request at a time."""

    def __init__(self, cluster: World, number: int, clock: TestClock) -> None:
        from threading import Semaphore, Thread

        self.holds = False
        self._go, self._paused = Semaphore(0), Semaphore(0)
        self._done = False
        self._api = SandboxApi(cluster.folder)
        self._clock = clock
        folder = cluster.journal.with_name(f"machine-{number}")
        folder.mkdir()
        args = (f"m{number}", folder / "fence")
        self._thread = Thread(target=self._work, args=args, daemon=True)
        self._thread.start()

    def _work(self, name: str, numbers: Path) -> None:
        self._go.acquire()
        try:
            acquire(self, self._clock, Writer(name), numbers)
            self.holds = True
        except (Locked, RequestRefused):
            pass
        self._done = True
        self._paused.release()

    def step(self) -> bool:
        """Let it come to its next request; False when it has got the lock or given up."""
        self._go.release()
        self._paused.acquire()
        return not self._done

    def _pause(self) -> None:
        self._paused.release()
        self._go.acquire()

    @property
    def actor(self) -> str:
        return "root@pam"

    @property
    def endpoint(self) -> str:
        return self._api.endpoint

    def get(self, requests: Any) -> Any:
        answers = self._api.get(requests)
        self._pause()
        return answers

    def send(self, request: Request, secrets: Any = None) -> Any:
        self._pause()
        return self._api.send(request, secrets)

    def close(self) -> None:
        self._thread.join()


def start(plan: Bench, lock: ClusterLock, api: Any, work: Any, path: Path | None = None) -> Any:
    """Run a plan under a lock of its own; the report and the journal."""
    path = path or plan.begin()
    with Journal.open(path) as journal:
        run = RunContext(api, plan.plan.steps, journal, plan.clock, MemorySecrets(), lock)
        return work(run), path


@on_pairs(6, 60)
def test_a_run_whose_lease_ended_writes_nothing_more(first: Any, second: Any) -> None:
    with world() as cluster:
        plan = bench(cluster, first, second)
        if len(plan.plan.steps) > 1:
            sleeps_over_its_lease(plan)


def sleeps_over_its_lease(plan: Bench) -> None:
    """In the middle; somebody else takes over and writes."""
    cluster, number = plan.world, len(plan.plan.steps)
    lock = take(cluster, plan.clock, "a")
    written: list[str] = []

    def sleep_in_the_middle(at: int, request: Request, send: Callable[[], Any]) -> Any:
        written.append("a")
        answer = send()
        if at == number // 2:
            plan.clock.sleep(LEASE + 1)
            rival = take(cluster, plan.clock, "b")
            start(_something(cluster), rival, Noting(cluster.api, written), apply_plan)
            rival.release()
        return answer

    report, path = start(plan, lock, writes(cluster.api, sleep_in_the_middle), apply_plan)
    assert report.outcome == "stopped", report
    assert "".join(written).strip("b").strip("a") == "", written
    mine = take(cluster, plan.clock, "a")
    again, _ = start(plan, mine, cluster.api, resume_run, path)
    assert again.outcome in {"done", "rolled back", "stuck"}


@on_pairs(3, 60)
def test_a_lock_that_is_taken_over_between_two_looks_is_missed_for_seconds_only(
    first: Any, second: Any
) -> None:
    with world() as cluster:
        taken_over_between_two_looks(bench(cluster, first, second), lambda f: some(f, 3))


PAUSE = 1.5
"""Seconds between two requests."""


def taken_over_between_two_looks(plan: Bench, points: Points = all_points) -> None:
    """A person removes the lock of a run that lives, and another one takes it; at the next look at
    the lock, `LOOK` seconds later at most, the run stops."""
    cluster, enough = plan.world, int(LOOK / PAUSE) + 2
    for at in points(range(1, len(plan.plan.steps) - enough)):
        lock = take(cluster, plan.clock, "a")
        lock.renew()
        since: list[float] = []

        def fault(
            number: int,
            request: Request,
            send: Callable[[], Any],
            at: int = at,
            lock: ClusterLock = lock,
            since: list[float] = since,
        ) -> Any:
            answer = send()
            if number == at:
                unlock(cluster.api, lock.mine.fence)
                take(cluster, plan.clock, "b")
                since.append(plan.clock.now())
            plan.clock.sleep(PAUSE)
            assert plan.clock.now() - since[0] <= LOOK + PAUSE if since else True
            return answer

        report, path = start(plan, lock, writes(cluster.api, fault), apply_plan)
        assert report.outcome == "stopped", report
        assert isinstance(report.failure, Locked)
        assert not RunState.of(read_journal(path)).is_finished
        count("lock taken over between two looks")
        plan.reset()


def _something(cluster: World) -> Bench:
    """A plan that touches nothing of anybody else's."""
    reason = Reason(Cause.MISSING, "test")
    change = Change(Address("group", "theirs"), None, GroupSpec(), reason)
    plan = Plan(cluster.api.endpoint, cluster.api.actor, steps=order([change]))
    return Bench(cluster, plan)


class Noting:
    """Notes that the second run writes."""

    def __init__(self, api: Any, written: list[str]) -> None:
        self._api, self._written = api, written

    @property
    def actor(self) -> str:
        return "root@pam"

    @property
    def endpoint(self) -> str:
        return str(self._api.endpoint)

    def get(self, requests: Any) -> Any:
        return self._api.get(requests)

    def send(self, request: Request, secrets: Any = None) -> Any:
        self._written.append("b")
        return self._api.send(request, secrets)

    def close(self) -> None:
        self._api.close()


def test_a_killed_holder_is_followed_by_its_own_resume(cluster: World) -> None:
    from tests.execution.test_tokens import STATE

    plan = bench(cluster, {}, STATE)
    folder = cluster.journal.with_name("a")
    folder.mkdir()
    path = plan.begin()

    def die(at: int, request: Request, send: Callable[[], Any]) -> Any:
        if at == 3:
            raise Killed
        return send()

    lock = acquire(cluster.api, plan.clock, Writer("a"), folder / "fence")
    with Journal.open(path) as journal:
        journal.write("locked", claim=lock.mine.claim, fence=lock.mine.fence)
    with pytest.raises(Killed):
        start(plan, lock, writes(cluster.api, die), apply_plan, path)
    assert len(lock_records(cluster.api)) == 1
    with one_writer(cluster.api, plan.clock, Writer("a"), folder, lambda: Journal.open(path)) as (
        again,
        journal,
    ):
        report = resume_run(
            RunContext(cluster.api, plan.plan.steps, journal, plan.clock, MemorySecrets(), again)
        )
    assert report.complete, report
    assert lock_records(cluster.api) == []
    is_declared(cluster, STATE)


def _plant(cluster: World, claim: str, comment: str) -> None:
    with (cluster.folder / "user.cfg").open("a") as file:
        file.write(f"group:pvectl-lock-{claim}::{comment}:\n")


def test_a_lock_until_the_year_3000_is_not_believed(cluster: World, clock: TestClock) -> None:
    fields = '{"fence": 7, "owner": "eve", "run": "", "until": 32503680000}'
    _plant(cluster, "7", f"lock of pvectl {fields}".replace(":", "%3A"))
    with pytest.raises(Locked, match="ends later than pvectl ever sets it") as caught:
        take(cluster, clock, "a")
    assert "pvectl unlock --fence 7" in caught.value.hint
    assert "s more" not in caught.value.summary


@pytest.mark.parametrize(
    "fields",
    [
        '{"fence": 7, "owner": "e", "run": "", "until": NaN}',
        '{"fence": 7, "owner": "e", "run": "", "until": 1e999}',
        '{"fence": -7, "owner": "e", "run": "", "until": 1}',
        '{"fence": %s, "owner": "e", "run": "", "until": 1}' % ("9" * 4000),
        '{"fence": 7, "owner": "e", "run": "", "until": %s}' % ("[" * 3000),
    ],
)
def test_numbers_that_pvectl_never_writes_are_left_to_a_person(
    fields: str, cluster: World, clock: TestClock
) -> None:
    _plant(cluster, "7", f"lock of pvectl {fields}".replace(":", "%3A"))
    with pytest.raises(Locked, match="unknown holds the lock") as caught:
        take(cluster, clock, "a")
    assert "pvectl unlock --fence 7" in caught.value.hint


def test_a_group_that_only_looks_like_a_lock_is_none(cluster: World, clock: TestClock) -> None:
    _plant(cluster, "9" * 5000, "")
    take(cluster, clock, "a").release()


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (RequestRefused(403, "Permission check failed (/access/groups, Group.Allocate)"), Refused),
        (RequestRefused(500, "got lock request timeout"), Refused),
        (Unreachable("no answer"), Unreachable),
    ],
)
def test_a_lock_that_cannot_be_completed_is_nobody_else_s(
    failure: Exception, kind: type[Exception], cluster: World, clock: TestClock, tmp_path: Path
) -> None:
    class Refusing(Passing):
        def send(self, request: Request, secrets: Any = None) -> Any:
            if request.method == "PUT":
                raise failure
            return self.api.send(request, secrets)

    with pytest.raises(kind, match="could not be finalised") as caught:
        acquire(Refusing(cluster.api), clock, Writer("a"), tmp_path / "fence")
    assert "pvectl unlock --fence " in caught.value.hint  # type: ignore[attr-defined]
    assert lock_records(cluster.api) == []
