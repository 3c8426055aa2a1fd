"""Secrets of new tokens under fire: made, delivered once, and never lost or left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ApplyNotRestored, RequestRefused
from reconciler.execution.journal.journal import read_journal
from reconciler.kinds.acl.table import AclSpec
from reconciler.kinds.role import RoleSpec
from reconciler.kinds.token import TokenSpec
from reconciler.kinds.user.table import UserSpec
from reconciler.model.address import Address
from reconciler.model.declared import Desired
from reconciler.model.inventory import Facts
from reconciler.model.request import Request
from reconciler.model.run_state import RunState
from reconciler.model.secret import SecretSink
from reconciler.model.spec import Spec
from reconciler.planning.request import PlanRequest
from reconciler.planning.rotation.new_secrets import rotate
from reconciler.pve.release import release_of
from tests.execution.checks import crash, delivered_secrets_are_those_of_the_cluster, executed
from tests.execution.injected import (
    Fault,
    Killed,
    harmless,
    kill_after,
    kill_before,
    lose_after,
    lose_before,
    refuse,
    writes,
)
from tests.execution.worlds import Bench, World, bench, is_as_before, is_declared, look, world
from tests.support.engine import NOW

TOKEN = Address("token", "bot@pve!ci")
SINK = SecretSink(file="bot")
STATE: dict[Address, Spec] = {
    Address("role", "Backup"): RoleSpec(privileges=("VM.Backup",)),
    Address("user", "bot@pve"): UserSpec(),
    TOKEN: TokenSpec(secret_to=SINK),
    Address("acl", "/vms|token:bot@pve!ci|Backup"): AclSpec(),
    Address("acl", "/vms|user:bot@pve|Backup"): AclSpec(),
}
CREATION = 3
"""Number of the request that makes the token."""


@pytest.fixture
def cluster() -> Iterator[World]:
    with world() as made:
        yield made


@pytest.fixture
def plan(cluster: World) -> Bench:
    made = bench(cluster, {}, STATE)
    assert made.plan.steps[CREATION - 1].request.target == "/access/users/bot@pve/token/ci"
    return made


def is_usable(plan: Bench) -> None:
    """The token has its entries, and its sink the secret with which it works."""
    is_declared(plan.world, STATE)
    assert TOKEN.id in plan.secrets.delivered
    delivered_secrets_are_those_of_the_cluster(plan)


def older(fault: Fault) -> Fault:
    """A release that cannot renew a secret."""

    def answer(number: int, request: Request, send: Callable[[], Any]) -> Any:
        if "regenerate" in dict(request.params):
            raise RequestRefused(
                400, "Parameter verification failed.", {"regenerate": "property is not defined"}
            )
        return fault(number, request, send)

    return answer


@pytest.mark.parametrize("release", [lambda fault: fault, older], ids=["9.2", "older"])
@pytest.mark.parametrize("kill", [kill_before, kill_after])
def test_a_crash_between_creation_and_delivery(
    plan: Bench, kill: Callable[[int], Fault], release: Callable[[Fault], Fault]
) -> None:
    path, _ = crash(plan, release(kill(CREATION)))
    assert plan.secrets.delivered == {}
    api, sent = executed(plan, release(harmless))
    assert plan.resume(path, api).complete
    is_usable(plan)
    targets = [request for request in sent if "/token/" in request.target]
    if kill is kill_before:
        assert len(targets) == 1
    else:
        assert [r.method for r in targets] == (["DELETE", "POST"] if release is older else ["PUT"])


@pytest.mark.parametrize("release", [lambda fault: fault, older], ids=["9.2", "older"])
@pytest.mark.parametrize("lose", [lose_before, lose_after])
def test_an_answer_with_a_secret_is_lost(
    plan: Bench, lose: Callable[[int], Fault], release: Callable[[Fault], Fault]
) -> None:
    report, _ = plan.apply(writes(plan.world.api, release(lose(CREATION))))
    assert report.complete, report
    is_usable(plan)


@pytest.mark.parametrize("kill", [kill_before, kill_after])
@pytest.mark.parametrize("release", [lambda fault: fault, older], ids=["9.2", "older"])
def test_a_crash_while_the_secret_is_renewed(
    plan: Bench, kill: Callable[[int], Fault], release: Callable[[Fault], Fault]
) -> None:
    """At each request that the renewal takes; then the run is resumed once more."""
    for at in (1, 2):
        path, _ = crash(plan, release(kill_after(CREATION)))
        try:
            plan.resume(path, writes(plan.world.api, release(kill(at))))
        except Killed:
            report = plan.resume(path, writes(plan.world.api, release(harmless)))
            assert report.complete, report
        is_usable(plan)
        plan.reset()


def test_a_sink_that_fails_takes_the_token_back(plan: Bench) -> None:
    plan.secrets.broken = True
    report, path = plan.apply(plan.world.api)
    assert report.restored, report
    assert report.failure is not None
    assert report.failure.code == "E_SINK"
    is_as_before(plan.world, plan.before)
    assert plan.secrets.delivered == {}
    assert read_journal(path)[-1].data["outcome"] == "rolled back"


def test_a_delivered_secret_is_withdrawn_when_its_token_is_rolled_back(plan: Bench) -> None:
    report, _ = plan.apply(writes(plan.world.api, refuse(CREATION + 1, 403, "no")))
    assert report.restored, report
    assert plan.secrets.delivered == {}


def test_a_secret_is_withdrawn_after_a_crash_in_the_rollback(plan: Bench) -> None:
    """The crash comes right after the token was deleted."""

    def fault(number: int, request: Request, send: Callable[[], Any]) -> Any:
        if number == CREATION + 1:
            raise RequestRefused(403, "no")
        answer = send()
        if request.method == "DELETE" and "/token/" in request.target:
            raise Killed
        return answer

    path, _ = crash(plan, fault)
    assert plan.secrets.delivered
    assert plan.resume(path).restored
    assert plan.secrets.delivered == {}


def test_a_token_that_somebody_else_made_is_not_taken_for_ours(plan: Bench) -> None:
    def fault(number: int, request: Request, send: Callable[[], Any]) -> Any:
        answer = send()
        if number == CREATION - 1:
            plan.world.api.send(plan.plan.steps[CREATION - 1].request)
        return answer

    report, _ = plan.apply(writes(plan.world.api, fault))
    assert report.failure is not None
    assert report.failure.code == "E_CONFLICT"
    assert "pvectl rotate" in report.failure.hint
    assert TOKEN in look(plan.world.api)
    assert plan.secrets.delivered == {}


def rotation(cluster: World, release: str) -> Bench:
    """A cluster in which the token is, and the plan that gives it a new secret."""
    first = bench(cluster, STATE, STATE)
    question = PlanRequest(cluster.api.endpoint, "root@pam", NOW)
    live = look(cluster.api)
    facts = Facts(release, pve=release_of(release, {}))
    made = Bench(cluster, rotate({TOKEN: SINK}, live, facts, question, Desired()))
    assert first.plan.steps == ()
    assert not made.plan.refusals
    return made


RELEASES = pytest.mark.parametrize("release", ["9.2.1", "9.1.4", "8.4.5"])


@RELEASES
def test_rotation_keeps_the_entries_and_kills_the_old_secret(cluster: World, release: str) -> None:
    plan = rotation(cluster, release)
    assert len(plan.plan.steps) == (1 if release == "9.2.1" else 4)
    report, _ = plan.apply(cluster.api)
    assert report.complete, report
    is_usable(plan)
    assert cluster.files()["priv/token.cfg"] != plan.before["priv/token.cfg"]


@RELEASES
@pytest.mark.parametrize("kill", [kill_before, kill_after])
def test_a_rotation_that_is_killed_is_finished(
    cluster: World, release: str, kill: Callable[[int], Fault]
) -> None:
    plan = rotation(cluster, release)
    for at in range(1, len(plan.plan.steps) + 1):
        path, _ = crash(plan, kill(at))
        report = plan.resume(path)
        assert report.complete, report
        is_usable(plan)
        plan.reset()


@RELEASES
def test_a_rotation_whose_sink_fails_is_finished_when_it_works_again(
    cluster: World, release: str
) -> None:
    plan = rotation(cluster, release)
    plan.secrets.broken = True
    report, path = plan.apply(cluster.api)
    assert report.outcome == "stuck", report
    assert not report.restored
    plan.secrets.broken = False
    assert plan.resume(path).complete
    is_usable(plan)


def test_a_refused_rotation_leaves_the_old_secret(cluster: World) -> None:
    plan = rotation(cluster, "9.2.1")
    report, _ = plan.apply(writes(cluster.api, older(harmless)))
    assert report.restored, report
    is_as_before(cluster, plan.before)


def test_a_rotation_cannot_be_rolled_back_and_its_journal_stays_closed(cluster: World) -> None:
    plan = rotation(cluster, "9.2.1")
    report, path = plan.apply(cluster.api)
    assert report.complete, report
    with pytest.raises(ApplyNotRestored, match="cannot roll back: "):
        plan.roll_back(path)
    assert RunState.of(read_journal(path)).is_finished
    is_usable(plan)


def test_the_journal_names_the_sink_and_never_the_secret(plan: Bench, tmp_path: Path) -> None:
    _, path = plan.apply(plan.world.api)
    assert plan.secrets.delivered[TOKEN.id] not in path.read_text()
    assert "file bot" in path.read_text()
