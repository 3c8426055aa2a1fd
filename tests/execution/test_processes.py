"""Real `pvectl` processes against a Proxmox VE of its own process: killed, stopped, at once."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from reconciler.execution.lock.lease import LEASE, LOOK
from reconciler.execution.lock.record import lock_records
from reconciler.kinds.group import GroupSpec
from reconciler.model.address import Address
from reconciler.model.change import Undo
from reconciler.model.spec import State
from tests.execution import size
from tests.execution.processes import Ended, Site, sent_twice, site
from tests.execution.size import count, on_pairs, some
from tests.execution.test_tokens import STATE
from tests.execution.worlds import MEMORY, Bench, is_as_before, is_declared, plan_for
from tests.support.random_states import with_sinks

LOCKED = 2
"""Number of the last write that takes the lock; those of the plan follow."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    import tempfile

    with tempfile.TemporaryDirectory(dir=MEMORY) as name, site(Path(name)) as running:
        yield running


class Plan:
    """A cluster in one state, and a saved plan to another."""

    def __init__(self, place: Site, first: State, second: State) -> None:
        self.place, self.second = place, with_sinks(dict(second))
        place.reset(place.fresh)
        plan = plan_for(place.world.api, with_sinks(dict(first)))
        report, _ = Bench(place.world, plan).apply(place.world.api)
        assert report.complete, report
        self.file = place.plan(self.second)
        self.steps = plan_for(place.world.api, self.second).steps
        self.before = place.world.files()
        self.total = LOCKED + len(self.steps) + 1

    @property
    def pivot(self) -> int:
        """Number of the write from which on there is only forward."""
        found = [n for n, s in enumerate(self.steps, LOCKED + 1) if s.undo is Undo.NONE]
        return found[0] if found else self.total

    def again(self) -> None:
        self.place.reset(self.before)

    def clean(self) -> None:
        """The cluster as it was before all of this."""
        self.place.reset(self.place.fresh)

    def is_done(self) -> None:
        is_declared(self.place.world, self.second)
        assert not sent_twice(self.place.requests())
        self.secrets_fit()

    def secrets_fit(self) -> None:
        lines = self.place.world.files()["priv/token.cfg"].decode().split("\n")
        for line in filter(None, lines):
            token, secret = line.split(" ")
            sink = self.place.state / token
            if sink.exists():
                assert sink.read_text() == f"{secret}\n", token

    def is_undone(self) -> None:
        is_as_before(self.place.world, self.before)
        assert not sent_twice(self.place.requests())


def few(points: Sequence[int]) -> Sequence[int]:
    return some(points, 4)


@pytest.fixture
def pair(place: Site) -> Iterator[Plan]:
    made = Plan(place, {}, STATE)
    yield made
    made.clean()


@on_pairs(2, 12)
def test_sigkill_around_every_request_and_then_resume(
    place: Site, first: State, second: State
) -> None:
    plan = Plan(place, first, second)
    for when in ("kill_before", "kill_after"):
        for at in few(range(1, plan.total + 1)) if plan.steps else ():
            assert place.run("apply", str(plan.file), **{when: at}).status == -signal.SIGKILL
            resumed = place.run("resume")
            assert resumed.status == ExitStatus.OK, resumed
            plan.is_done()
            place.reset(plan.before)
            count("SIGKILL, resume")
    plan.clean()


@on_pairs(2, 12)
def test_sigkill_around_every_request_and_then_rollback(
    place: Site, first: State, second: State
) -> None:
    plan = Plan(place, first, second)
    for when in ("kill_before", "kill_after"):
        last = plan.pivot - (when == "kill_after")
        for at in few(range(1, min(last, plan.total - 1) + 1)) if plan.steps else ():
            assert place.run("apply", str(plan.file), **{when: at}).status == -signal.SIGKILL
            taken_back = place.run("rollback")
            assert taken_back.status == ExitStatus.OK, taken_back
            plan.is_undone()
            assert lock_records(place.world.api) == []
            place.reset(plan.before)
            count("SIGKILL, rollback")
    plan.clean()


@on_pairs(2, 12)
def test_sigkill_around_every_request_of_the_rollback_and_then_resume(
    place: Site, first: State, second: State
) -> None:
    plan = Plan(place, first, second)
    last = min(plan.pivot - 1, plan.total - 1)
    for when in ("kill_before", "kill_after"):
        for at in few(range(1, last + 2)) if last > LOCKED else ():
            assert place.run("apply", str(plan.file), kill_after=last).status == -signal.SIGKILL
            killed = place.run("rollback", **{when: at})
            if killed.status == -signal.SIGKILL:
                resumed = place.run("resume")
                assert resumed.status == ExitStatus.OK, resumed
            plan.is_undone()
            place.reset(plan.before)
            count("SIGKILL in the rollback, resume")
    plan.clean()


@on_pairs(2, 12)
def test_signals_finish_the_request_and_take_everything_back(
    place: Site, first: State, second: State
) -> None:
    plan = Plan(place, first, second)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        for when in ("signal_before", "signal_after"):
            for at in few(range(LOCKED + 1, plan.total)):
                ended = place.run("apply", str(plan.file), **{when: [at, int(number), 1]})
                _is_one_or_the_other(plan, ended, 128 + number)
                place.reset(plan.before)
                count("signal")
    plan.clean()


def _is_one_or_the_other(plan: Plan, ended: Ended, status: int) -> None:
    """As before or as declared with this status, else a journal that leads there."""
    if ended.status == ExitStatus.NOT_RESTORED:
        assert "point of no return" in ended.out, ended
        assert plan.place.run("resume").status == ExitStatus.OK
        plan.is_done()
        return
    assert ended.status == status, ended
    if "everything is restored, verified" in ended.out:
        plan.is_undone()
    else:
        plan.is_done()
    assert lock_records(plan.place.world.api) == []


@on_pairs(2, 12)
def test_a_second_signal_stops_at_once_and_resume_finishes(
    place: Site, first: State, second: State
) -> None:
    plan = Plan(place, first, second)
    for when in ("signal_before", "signal_after"):
        for at in few(range(LOCKED + 1, plan.total)):
            fault = {when: [at, int(signal.SIGTERM), 2]}
            assert place.run("apply", str(plan.file), **fault).status == ExitStatus.NOT_RESTORED
            assert place.run("status").status == ExitStatus.UNFINISHED
            assert place.run("resume").status == ExitStatus.OK
            plan.is_done()
            place.reset(plan.before)
            count("second signal")
    plan.clean()


def test_a_signal_changes_nothing_on_the_rollback(pair: Plan) -> None:
    """The second one stops there, too; `resume` then goes on going back."""
    for times, status in ((1, 0), (2, 10)):
        pair.place.run("apply", str(pair.file), kill_after=4)
        fault = {"signal_after": [4, int(signal.SIGTERM), times]}
        ended = pair.place.run("rollback", **fault)
        assert ended.status == status, ended
        assert "the rollback continues to its end; signal again to stop at once" in ended.err
        assert "taking everything back" not in ended.err
        if times == 2:
            assert "stopped at once: `pvectl status" in ended.err
            told = pair.place.run("status")
            assert told.status == ExitStatus.UNFINISHED
            assert "Run `pvectl resume` to finish the rollback" in told.out
            assert pair.place.run("resume").status == ExitStatus.OK
        pair.is_undone()
        pair.again()


def test_a_signal_while_the_lock_is_taken_leaves_everything_as_it_was(pair: Plan) -> None:
    for when in ("signal_before", "signal_after"):
        for at in range(1, LOCKED + 1):
            fault = {when: [at, int(signal.SIGTERM), 1]}
            ended = pair.place.run("apply", str(pair.file), **fault)
            assert ended.status == 128 + signal.SIGTERM, ended
            assert "stopping as soon as the lock is released" in ended.err
            assert pair.place.run("status").status == ExitStatus.OK
            pair.is_undone()
            pair.again()


def test_a_signal_at_any_time_leaves_one_state_or_a_journal(pair: Plan) -> None:
    chance = random.Random(4)  # noqa: S311 - not for secrets
    for _ in some(range(200), 8):
        started = pair.place.start("apply", str(pair.file))
        pid = pair.place.driver.pid(started[0])
        time.sleep(chance.uniform(0, 0.25))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        ended = pair.place.end(started)
        if ended.status == -signal.SIGTERM:  # before the run began, or after it had ended
            resumed = pair.place.run("resume")
            assert resumed.status == ExitStatus.OK, resumed
        else:
            assert ended.status in {0, 128 + signal.SIGTERM}, ended
        if pair.place.world.files()["user.cfg"] == pair.before["user.cfg"]:
            pair.is_undone()
        elif not lock_records(pair.place.world.api):
            pair.is_done()
        pair.again()
        count("signal at a random time")


def test_an_unfinished_run_is_reported_and_blocks_the_next_one(pair: Plan) -> None:
    pair.place.run("apply", str(pair.file), kill_after=4)
    refused = pair.place.run("apply", str(pair.file))
    assert refused.status == ExitStatus.UNFINISHED
    assert "pvectl resume" in refused.err
    assert "pvectl rollback" in refused.err
    told = pair.place.run("status")
    assert told.status == ExitStatus.UNFINISHED
    assert ": of 5 objects, 2 done, 3 untouched; run `pvectl resume`." in told.out.splitlines()[0]
    as_json = pair.place.run("status", "--format", "json")
    assert '"role.Backup":"done"' in as_json.out
    assert pair.place.run("rollback").status == ExitStatus.OK
    pair.is_undone()
    assert pair.place.run("status").status == ExitStatus.OK
    pair.again()


def test_a_killed_run_does_not_lock_its_own_machine_out(pair: Plan) -> None:
    last = pair.total
    assert pair.place.run("apply", str(pair.file), kill_before=last).status == -signal.SIGKILL
    assert len(lock_records(pair.place.world.api)) == 1
    assert pair.place.run("status").status == ExitStatus.LOCKED
    file = pair.place.plan({Address("group", "next"): GroupSpec()})
    again = pair.place.run("apply", str(file))
    assert again.status == ExitStatus.OK, again
    assert "took over lock " in again.err
    pair.again()


def test_resume_removes_the_lock_of_a_run_that_died_at_its_very_end(pair: Plan) -> None:
    assert pair.place.run("apply", str(pair.file), kill_before=pair.total).status < 0
    cleared = pair.place.run("resume")
    assert cleared.status == ExitStatus.OK
    assert " of a dead run" in cleared.err
    assert lock_records(pair.place.world.api) == []
    pair.again()


def test_without_a_place_for_the_journal_nothing_is_sent(pair: Plan) -> None:
    (pair.place.runs / "file").write_text("no folder")
    refused = pair.place.run("apply", str(pair.file), machine="file/home")
    assert refused.status == ExitStatus.RESTORED, refused
    assert pair.place.requests(lock=True) == []
    pair.again()


def test_a_digest_that_was_not_approved_is_refused(pair: Plan) -> None:
    refused = pair.place.run("apply", str(pair.file), "--approve", "0123456789")
    assert refused.status == ExitStatus.STALE, refused
    assert pair.place.requests(lock=True) == []
    text = pair.file.read_text()
    digest = text.split('"digest":"')[1][:64]
    assert pair.place.run("apply", str(pair.file), "--approve", digest[:12]).status == ExitStatus.OK
    pair.again()


def test_a_plan_that_the_cluster_has_left_behind_is_refused(pair: Plan) -> None:
    assert pair.place.run("apply", str(pair.file)).status == ExitStatus.OK
    refused = pair.place.run("apply", str(pair.file))
    assert refused.status == ExitStatus.STALE, refused
    assert "already applied: the cluster is as this plan declares it" in refused.err
    pair.again()


@pytest.mark.parametrize("number", range(2, 11) if size.at_length else (2, 10))
def test_several_runs_at_once_never_mix(place: Site, number: int) -> None:
    """Each makes groups of its own; who finds the lock taken tries again."""
    before = place.world.files()
    files = [_groups(place, machine) for machine in range(number)]

    def start(machine: int) -> tuple[int, Path]:
        args = ("apply", str(files[machine]))
        return place.start(*args, machine=f"m{machine}", real_time=True)

    running = {machine: start(machine) for machine in range(number)}
    while running:
        machine, started = next(iter(running.items()))
        ended = place.end(started)
        del running[machine]
        assert ended.status in {0, 6}, ended
        if ended.status == ExitStatus.LOCKED:
            running[machine] = start(machine)
    assert {f"m{m}-{n}" for m in range(number) for n in range(3)} <= {
        line.split(":")[1]
        for line in place.world.files()["user.cfg"].decode().splitlines()
        if line.startswith("group:")
    }
    _one_writer_at_a_time(place)
    place.reset(before)
    count("runs at once", number)


def _groups(place: Site, machine: int) -> Path:
    """A saved plan that makes three groups and deletes nothing."""
    from reconciler.execution.plan_file import save_plan

    state = {Address("group", f"m{machine}-{n}"): GroupSpec() for n in range(3)}
    plan = plan_for(place.world.api, state, place.url, "root@pam!bootstrap")
    path = place.runs / f"plan-{machine}.json"
    save_plan(plan, path, int(time.time()))
    return path


def _one_writer_at_a_time(place: Site) -> None:
    """The requests of one process stand together, and the numbers of the locks only grow."""
    writers = [line["pid"] for line in place.requests()]
    turns = [pid for at, pid in enumerate(writers) if at == 0 or writers[at - 1] != pid]
    assert len(turns) == len(set(turns)), "two runs wrote in turns"
    taken = {
        line["pid"]: json.loads(line["params"]["comment"].removeprefix("lock of pvectl "))["fence"]
        for line in place.requests(lock=True)
        if line["lock"] and line["method"] == "PUT"
    }
    fences = [taken[pid] for pid in turns]
    assert fences == sorted(fences)
    assert len(set(fences)) == len(fences)


def test_a_killed_holder_is_waited_for_and_then_taken_over(place: Site, pair: Plan) -> None:
    other = _groups(place, 7)
    assert place.run("apply", str(pair.file), kill_after=4).status == -signal.SIGKILL
    locked = place.run("apply", str(other), machine="b")
    assert locked.status == ExitStatus.LOCKED, locked
    assert "pvectl unlock --fence" in locked.err
    taken = place.run("apply", str(other), machine="b", ahead=LEASE + 1)
    assert taken.status == ExitStatus.OK, taken
    asked = place.run("resume")
    assert asked.status == ExitStatus.UNFINISHED, asked
    assert "another run may have written to this cluster since this one stopped" in asked.err
    assert place.run("resume", "--yes").status == ExitStatus.OK
    _one_writer_at_a_time_but(place, turns=3)
    pair.again()


def _one_writer_at_a_time_but(place: Site, turns: int) -> None:
    writers = [line["pid"] for line in place.requests()]
    changes = [pid for at, pid in enumerate(writers) if at == 0 or writers[at - 1] != pid]
    assert len(changes) == turns


def test_a_run_that_sleeps_over_its_lease_writes_nothing_more(place: Site, pair: Plan) -> None:
    other, awake = _groups(place, 8), pair.place.runs / "awake"
    started = place.start("apply", str(pair.file), pause_after=[4, str(awake)])
    while len(place.requests()) < 2:
        time.sleep(0.01)
    taken = place.run("apply", str(other), machine="b", ahead=LEASE + 1)
    assert taken.status == ExitStatus.OK, taken
    time.sleep(LOOK)
    awake.touch()
    stopped = place.end(started)
    assert stopped.status == ExitStatus.NOT_RESTORED, stopped
    assert "lost" in stopped.out
    _one_writer_at_a_time_but(place, turns=2)
    assert place.run("resume").status == ExitStatus.UNFINISHED
    assert place.run("resume", "--yes").status == ExitStatus.OK
    pair.again()


def test_a_finished_run_is_rolled_back_on_demand_only_with_the_lock(
    place: Site, pair: Plan
) -> None:
    assert place.run("apply", str(pair.file)).status == ExitStatus.OK
    (journal,) = (place.runs / "a").rglob("*.jsonl")
    other = _groups(place, 9)
    assert place.run("apply", str(other), machine="b", kill_after=3).status < 0
    assert place.run("rollback", str(journal), "--yes").status == ExitStatus.LOCKED
    assert place.run("status").status == ExitStatus.LOCKED, "the journal is closed as before"
    assert place.run("resume", machine="b").status == ExitStatus.OK
    taken_back = place.run("rollback", str(journal), "--yes")
    assert taken_back.status == ExitStatus.OK, taken_back
    assert place.run("status").status == ExitStatus.OK
    pair.again()


def test_unlock_removes_a_lock_by_its_number(place: Site, pair: Plan) -> None:
    place.run("apply", str(pair.file), kill_after=3)
    (holder,) = lock_records(place.world.api)
    assert (
        place.run("unlock", "--fence", str(holder.fence + 1), machine="b").status
        == ExitStatus.LOCKED
    )
    assert place.run("unlock", "--fence", str(holder.fence), machine="b").status == ExitStatus.OK
    assert lock_records(place.world.api) == []
    pair.again()
