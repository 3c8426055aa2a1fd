"""A run dies, another machine does the same or something else, and then the first one goes on."""

from __future__ import annotations

import json
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from reconciler.execution.lock.lease import LEASE
from reconciler.execution.lock.record import lock_records
from reconciler.execution.plan_file import save_plan
from reconciler.kinds.group import GroupSpec
from reconciler.kinds.user.table import UserSpec
from reconciler.model.address import Address
from reconciler.model.request import request
from reconciler.model.secret import SecretRef
from reconciler.model.spec import Spec
from tests.execution.pair import FIRST, SECOND
from tests.execution.processes import ACTOR, Site, site
from tests.execution.size import count, some
from tests.execution.test_processes import LOCKED, Plan
from tests.execution.test_tokens import STATE as TOKEN_STATE
from tests.execution.worlds import MEMORY, plan_for

AHEAD = LEASE + 100
"""Seconds by which the second machine comes later."""

STATE: dict[Address, Spec] = {
    Address("group", "g1"): GroupSpec(),
    Address("group", "g2"): GroupSpec(),
    Address("user", "u@pve"): UserSpec(groups=("g1",), password=SecretRef(env="SECRET")),
}


@pytest.fixture(scope="module")
def place() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as name, site(Path(name)) as running:
        yield running


def other_machine(place: Site, state: Mapping[Address, Spec]) -> dict[str, bytes]:
    """Machine b brings the cluster to this state; the files of the cluster afterwards."""
    plan = plan_for(place.world.api, state, place.url, ACTOR)
    if plan.steps:
        place.declare(state)
        file = place.runs / "plan-b.json"
        save_plan(plan, file, int(time.time()))
        done = place.run("apply", str(file), machine="b", ahead=AHEAD)
        assert done.status == ExitStatus.OK, done
    assert plan_for(place.world.api, state).steps == ()
    return place.world.files()


def untouched(place: Site, healthy: dict[str, bytes]) -> None:
    """Nothing but the lock, which comes and goes, has changed."""
    now = place.world.files()
    assert lock_records(place.world.api) == [] or now.keys() == healthy.keys()
    for name, content in healthy.items():
        assert without_lock(now[name]) == without_lock(content), name


def without_lock(content: bytes) -> list[bytes]:
    return [line for line in content.split(b"\n") if b"pvectl-lock-" not in line]


@pytest.mark.parametrize("when", ["kill_before", "kill_after"])
@pytest.mark.parametrize("pair", [({}, STATE), (FIRST, SECOND)], ids=["small", "every kind"])
def test_a_cluster_that_another_machine_completed_is_left_alone(
    place: Site, pair: tuple[dict[Address, Spec], dict[Address, Spec]], when: str
) -> None:
    """At each request: killed, completed by another machine, then resumed or rolled back."""
    plan = Plan(place, *pair)
    points = some(range(1, plan.total), 8)
    for at in points:
        assert place.run("apply", str(plan.file), **{when: at}).status == -signal.SIGKILL
        healthy = other_machine(place, plan.second)
        refused = place.run("rollback", ahead=2 * AHEAD)
        if announced(place):
            assert refused.status in {64, 10}, (at, refused)
        untouched(place, healthy)
        if refused.status != ExitStatus.OK:
            resumed = place.run("resume", ahead=2 * AHEAD)
            assert resumed.status == ExitStatus.OK, (at, resumed)
            itself = when == "kill_after" and at == points[-1]
            ending = "Apply complete:" if itself else "Completed by another run:"
            assert ending in resumed.out, resumed
            untouched(place, healthy)
            assert place.run("status").status == ExitStatus.OK
        place.reset(plan.before)
        count("SIGKILL, completed by another run, resume")
    plan.clean()


def announced(place: Site) -> bool:
    (journal,) = (place.runs / "a").rglob("*.jsonl")
    return '"intent"' in journal.read_text()


def lost(place: Site, at: int = LOCKED + 2) -> tuple[Plan, dict[str, bytes]]:
    """Machine a died in the middle, b made a part of the same and something of its own."""
    plan = Plan(place, {}, STATE)
    assert place.run("apply", str(plan.file), kill_after=at).status == -signal.SIGKILL
    theirs = {**STATE, Address("group", "g2"): GroupSpec(comment="theirs")}
    return plan, other_machine(place, theirs)


def test_what_differs_is_named_and_a_person_chooses(place: Site) -> None:
    plan, healthy = lost(place)
    ended = place.run("resume", ahead=2 * AHEAD)
    assert ended.status == ExitStatus.UNFINISHED, ended
    assert "not as this run declares it: group.g2" in ended.err
    for command in ("resume --abandon", "resume --yes", "rollback"):
        assert f"pvectl {command}" in ended.err
    untouched(place, healthy)
    told = place.run("status")
    assert told.status == ExitStatus.UNFINISHED
    assert "Another run may have written since" in " ".join(told.out.split())
    assert json.loads(place.run("status", "--format", "json").out)["run"]["overtaken"] is True
    asked = place.run("rollback", ahead=2 * AHEAD)
    assert asked.status == ExitStatus.USAGE
    assert "delete group g1" in asked.err
    untouched(place, healthy)
    plan.clean()


def test_going_on_stops_at_what_others_made_and_undoes_nothing(place: Site) -> None:
    plan, healthy = lost(place)
    ended = place.run("resume", "--yes", ahead=2 * AHEAD)
    assert ended.status == ExitStatus.NOT_RESTORED, ended
    assert "group.g2" in ended.out
    untouched(place, healthy)
    assert place.run("resume", ahead=2 * AHEAD).status == ExitStatus.UNFINISHED, (
        "a person is asked again"
    )
    plan.clean()


def test_an_abandoned_run_leaves_the_cluster_as_it_is(place: Site) -> None:
    plan, healthy = lost(place)
    closed = place.run("resume", "--abandon", ahead=2 * AHEAD)
    assert closed.status == ExitStatus.OK, closed
    assert "Closed: the cluster was not changed." in closed.out
    untouched(place, healthy)
    assert place.run("status").status == ExitStatus.OK
    plan.clean()


def test_a_confirmed_rollback_undoes_only_what_this_run_did(place: Site) -> None:
    plan, _ = lost(place)
    undone = place.run("rollback", "--yes", ahead=2 * AHEAD)
    assert "delete group g1" in undone.err, undone
    left = place.world.files()["user.cfg"].decode()
    assert "group:g2:" in left, "theirs was deleted"
    assert "user:u@pve:" in left, "theirs was deleted"
    plan.clean()


def test_a_rollback_that_died_is_not_continued_over_the_work_of_others(place: Site) -> None:
    plan = Plan(place, {}, STATE)
    assert place.run("apply", str(plan.file), kill_after=plan.total - 1).status == -signal.SIGKILL
    assert place.run("rollback", kill_after=LOCKED + 2).status == -signal.SIGKILL
    healthy = other_machine(place, plan.second)
    resumed = place.run("resume", ahead=2 * AHEAD)
    assert resumed.status == ExitStatus.OK, resumed
    assert "Completed by another run" in resumed.out
    untouched(place, healthy)
    plan.clean()


def test_a_token_that_another_run_may_have_made_keeps_its_secret(place: Site) -> None:
    plan = Plan(place, {}, TOKEN_STATE)
    assert place.run("apply", str(plan.file), kill_after=LOCKED + 3).status == -signal.SIGKILL
    there = {address: spec for address, spec in plan.second.items() if address.kind != "acl"}
    healthy = other_machine(place, {**there, **STATE})
    stopped = place.run("resume", "--yes", ahead=2 * AHEAD)
    assert stopped.status == ExitStatus.NOT_RESTORED, stopped
    assert "`pvectl resume --abandon`, then" in " ".join(stopped.out.split())
    untouched(place, healthy)
    plan.clean()


def test_a_finished_run_is_not_undone_while_another_one_is_unfinished(place: Site) -> None:
    plan = Plan(place, {}, STATE)
    assert place.run("apply", str(plan.file)).status == ExitStatus.OK
    (journal,) = (place.runs / "a").rglob("*.jsonl")
    file = place.plan({**STATE, Address("group", "g3"): GroupSpec()})
    assert place.run("apply", str(file), kill_after=LOCKED + 1).status == -signal.SIGKILL
    healthy = place.world.files()
    blocked = place.run("rollback", str(journal), "--yes")
    assert blocked.status == ExitStatus.UNFINISHED, blocked
    untouched(place, healthy)
    plan.clean()


def test_a_conflict_after_an_interruption_undoes_nothing(place: Site) -> None:
    """Nobody took the lock; a person finished by hand what the dead run had started."""
    plan = Plan(place, {}, STATE)
    assert place.run("apply", str(plan.file), kill_after=LOCKED + 1).status == -signal.SIGKILL
    groups = ("access", "groups")
    place.world.api.send(request("PUT", *groups, "g1", comment="by hand"))
    place.world.api.send(request("POST", *groups, groupid="g2", comment="by hand"))
    healthy = place.world.files()
    stopped = place.run("resume")
    assert stopped.status == ExitStatus.NOT_RESTORED, stopped
    untouched(place, healthy)
    plan.clean()
