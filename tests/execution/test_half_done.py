"""What Proxmox VE does only half of, and what nobody can see from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import RequestRefused, UnknownOutcome, Unreachable
from reconciler.execution.journal.journal import read_journal
from reconciler.kinds.group import GroupSpec
from reconciler.kinds.user.table import UserSpec
from reconciler.model.address import Address
from reconciler.model.api import ForwardingApi
from reconciler.model.change import Cause, Change, Reason
from reconciler.model.plan import Plan
from reconciler.model.request import Request
from reconciler.model.run import Outcome
from reconciler.model.secret import SecretRef
from reconciler.model.spec import Spec
from reconciler.planning.ordering.order import order
from tests.execution.checks import crash, executed
from tests.execution.injected import (
    busy,
    harmless,
    kill_after,
    lose_after,
    lose_before,
    refuse,
    writes,
)
from tests.execution.worlds import Bench, World, bench, is_as_before, is_declared, look, world
from tests.kinds.samples import declared

USER = Address("user", "u1@pve")
GROUP = Address("group", "g1")
STORAGE = Address("storage", "vault")
VAULT = {
    "type": "pbs",
    "server": "pbs",
    "datastore": "main",
    "username": "b@pbs",
    "password": {"env": "SECRET"},
    "disable": True,
}


@pytest.fixture
def cluster() -> Iterator[World]:
    with world() as made:
        yield made


def shadow_lock(cluster: World) -> Path:
    return cluster.folder / "priv" / "lock" / "file-priv_shadow_cfg"


@pytest.fixture
def deletion(cluster: World) -> Bench:
    """A user with a password goes; a group comes."""
    return bench(cluster, {USER: UserSpec()}, {GROUP: GroupSpec()})


def test_a_user_that_was_only_disabled_is_deleted_when_the_lock_is_free(deletion: Bench) -> None:
    lock = shadow_lock(deletion.world)
    lock.mkdir(parents=True)
    seen: list[Spec | None] = []

    def fault(number: int, request: Request, send: Callable[[], Any]) -> Any:
        if number == 3:
            seen.append(look(deletion.world.api)[USER])
            lock.rmdir()
        return send()

    report, _ = deletion.apply(writes(deletion.world.api, fault))
    assert report.complete, report
    assert seen == [UserSpec(enabled=False, keys="")]
    is_declared(deletion.world, {GROUP: GroupSpec()})


def test_a_lock_that_stays_stops_the_run_and_it_is_resumed_later(deletion: Bench) -> None:
    """The password may be gone already, so it cannot be rolled back."""
    lock = shadow_lock(deletion.world)
    lock.mkdir(parents=True)
    report, path = deletion.apply(deletion.world.api)
    assert report.outcome == "stuck", report
    assert dict(report.objects)[USER] is Outcome.UNKNOWN
    lock.rmdir()
    assert deletion.resume(path).complete


def test_a_disabled_user_of_another_realm_is_enabled_again(cluster: World) -> None:
    """Nothing is lost with it, so it can be rolled back."""
    user = Address("user", "u1@pam")
    plan = bench(cluster, {user: UserSpec(comment="x")}, {GROUP: GroupSpec()})
    last = len(plan.plan.steps)

    def fault(number: int, request: Request, send: Callable[[], Any]) -> Any:
        if (request.method, request.path[1]) == ("DELETE", "users") and number >= last:
            cluster.api.send(Request("PUT", ("access", "users", "u1@pam"), (("enable", "0"),)))
            raise RequestRefused(500, "cfs-lock 'file-x' error: got lock request timeout")
        return send()

    report, _ = plan.apply(writes(cluster.api, fault))
    assert report.restored, report
    is_as_before(cluster, plan.before)


def new_password(cluster: World) -> Bench:
    """A storage whose password was changed, after a group that comes."""
    first = bench(cluster, {STORAGE: declared("storage", "vault", VAULT)}, {})
    live = look(cluster.api)[STORAGE]
    again = live.model_copy(update={"secrets": (("password", SecretRef(env="OTHER")),)})
    reason = Reason(Cause.DIFFERS, "test")
    changes = [Change(STORAGE, live, again, reason), Change(GROUP, None, GroupSpec(), reason)]
    plan = Plan(first.plan.cluster, first.plan.actor, steps=order(changes))
    return Bench(cluster, plan)


def password(cluster: World) -> str:
    return cluster.files()["priv/storage/vault.pw"].decode().strip()


def test_a_new_password_is_sent(cluster: World) -> None:
    plan = new_password(cluster)
    report, _ = plan.apply(cluster.api)
    assert report.complete, report
    assert password(cluster) == "value of OTHER"


@pytest.mark.parametrize("lose", [lose_before, lose_after])
def test_a_new_password_whose_answer_is_lost_is_sent_again(cluster: World, lose: Any) -> None:
    """Nobody can see whether it arrived; the same one twice does no harm."""
    plan = new_password(cluster)
    at = [step.request.method for step in plan.plan.steps].index("PUT") + 1
    report, path = plan.apply(writes(cluster.api, lose(at)))
    assert report.complete, report
    assert password(cluster) == "value of OTHER"
    assert "unknown" in [event.name for event in read_journal(path)]


def password_first(cluster: World) -> Bench:
    """The same, but the storage comes first."""
    plan = new_password(cluster)
    steps = sorted(plan.plan.steps, key=lambda step: step.request.method != "PUT")
    return Bench(cluster, Plan(plan.plan.cluster, plan.plan.actor, steps=tuple(steps)))


def test_a_new_password_that_was_recorded_is_not_sent_again(cluster: World) -> None:
    plan = password_first(cluster)
    path, _ = crash(plan, kill_after(2))
    api, sent = executed(plan, harmless)
    assert plan.resume(path, api).complete
    assert sent == []


def test_a_new_password_cannot_be_rolled_back_and_is_named(cluster: World) -> None:
    plan = password_first(cluster)
    report, _ = plan.apply(writes(cluster.api, refuse(2, 403, "no")))
    assert report.restored, report
    assert "LOSSY" in report.losses[STORAGE]
    assert report.to_json()["losses"] == {"storage.vault": report.losses[STORAGE]}


def test_a_pool_member_that_was_hidden_is_taken_out_and_added_again(cluster: World) -> None:
    """A storage that does not exist is listed in the pool, gets created, and becomes a member."""
    name, ghost = Address("pool", "p"), Address("storage", "ghost")
    first = {name: declared("pool", "p", {})}
    bench(cluster, first, first)
    users = cluster.folder / "user.cfg"
    users.write_text(users.read_text().replace("pool:p:::", "pool:p:::ghost"))
    reason = Reason(Cause.DIFFERS, "test")
    wanted = declared("pool", "p", {"storages": [ghost.id]})
    change = Change(name, first[name], wanted, reason)
    plan = Bench(cluster, Plan(cluster.api.endpoint, "root@pam", steps=order([change])))

    def fault(number: int, request: Request, send: Callable[[], Any]) -> Any:
        if number == 1:
            storages = cluster.folder / "storage.cfg"
            storages.write_text(f"{storages.read_text()}\ndir: ghost\n\tpath /mnt/ghost\n\n")
        return send()

    api = writes(cluster.api, fault)
    report, _ = plan.apply(api)
    assert report.complete, report
    assert [dict(sent.params).get("delete", "0") for sent in api.sent] == ["0", "1", "0"]
    assert look(cluster.api)[name] == wanted


def test_a_cluster_that_does_not_answer_for_a_while_is_waited_for(deletion: Bench) -> None:
    api = Away(deletion, 60.0)
    report, _ = deletion.apply(api)
    assert report.complete, report


def test_a_cluster_that_does_not_come_back_stops_the_run(deletion: Bench) -> None:
    api = Away(deletion, 10_000.0)
    report, path = deletion.apply(api)
    assert report.outcome == "stopped", report
    assert not report.verified
    assert [became for _, became in report.objects] == [Outcome.DONE, Outcome.UNTOUCHED]
    assert read_journal(path)[-1].name != "end"
    again = deletion.resume(path)
    assert again.complete or again.restored
    assert deletion.resume(path).objects == again.objects


def test_pve_may_not_quote_a_secret_back(cluster: World) -> None:
    def fault(number: int, request: Request, send: Callable[[], Any]) -> Any:
        if request.method == "PUT":
            quoted = {"password": "value of OTHER is bad"}
            raise RequestRefused(500, "got 'value of OTHER'", quoted)
        return send()

    plan = new_password(cluster)
    report, path = plan.apply(writes(cluster.api, fault))
    assert "value of OTHER" not in str(report.failure)
    assert "value of OTHER" not in path.read_text()


def test_too_many_lost_answers_end_the_run(deletion: Bench) -> None:
    def fault(number: int, request: Request, send: Callable[[], Any]) -> Any:
        raise UnknownOutcome("no answer in time")

    report, _ = deletion.apply(writes(deletion.world.api, fault))
    assert report.restored, report
    is_as_before(deletion.world, deletion.before)


def test_a_lock_that_is_busy_for_too_long_ends_the_run(deletion: Bench) -> None:
    report, _ = deletion.apply(writes(deletion.world.api, busy(1, 100)))
    assert report.restored, report
    is_as_before(deletion.world, deletion.before)


class Away(ForwardingApi):
    """The cluster cannot be reached for some seconds after the first request."""

    def __init__(self, plan: Bench, seconds: float) -> None:
        super().__init__(plan.world.api)
        self._clock, self._seconds = plan.clock, seconds
        self._until = 0.0

    def get(self, requests: Any) -> Any:
        if self._clock.now() < self._until:
            raise Unreachable("connection refused")
        return self._api.get(requests)

    def send(self, request: Request, secrets: Any = None) -> Any:
        if self._clock.now() < self._until:
            raise Unreachable("connection refused")
        if not self._until:
            self._until = self._clock.now() + self._seconds
        return self._api.send(request, secrets)
