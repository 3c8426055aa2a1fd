"""A storage that is recreated with all its dependents: faults at every step."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciler.kinds.acl.table import AclSpec
from reconciler.kinds.user.table import UserSpec
from reconciler.model.address import Address
from reconciler.model.spec import Spec
from tests.execution import checks, worlds
from tests.execution.worlds import Bench, bench, world
from tests.kinds.samples import declared

ENTRY = Address("acl", "/storage/usb|user:u@pve|PVEDatastoreUser")


def state(path: str, comment: str) -> dict[Address, Spec]:
    return {
        Address("storage", "usb"): declared("storage", "usb", {"type": "dir", "path": path}),
        Address("user", "u@pve"): UserSpec(),
        ENTRY: AclSpec(),
        Address("pool", "p"): declared("pool", "p", {"storages": ["usb"], "comment": comment}),
        Address("pool", "q"): declared("pool", "q", {"storages": ["local", "usb"]}),
    }


SECOND = state("/new", "b")


@pytest.fixture
def plan() -> Iterator[Bench]:
    with world() as cluster:
        made = bench(cluster, state("/old", "a"), SECOND)
        assert not made.plan.refusals, made.plan.refusals
        yield made


def test_nothing_is_lost_on_the_way(plan: Bench) -> None:
    ordered = [change.address for change in plan.plan.changes]
    storage = Address("storage", "usb")
    assert ordered.index(ENTRY) < ordered.index(storage)
    assert len(ordered) - 1 - ordered[::-1].index(ENTRY) > ordered.index(storage) + 1
    report, _ = plan.apply(plan.world.api)
    assert report.complete, report
    worlds.is_declared(plan.world, SECOND)


def test_a_refusal_at_any_step_brings_everything_back(plan: Bench) -> None:
    checks.refusals_are_undone(plan)


def test_a_crash_at_any_step_is_finished(plan: Bench) -> None:
    checks.killed_is_resumed(plan, SECOND)


def test_a_crash_at_any_step_is_rolled_back(plan: Bench) -> None:
    checks.killed_is_rolled_back(plan)


def test_a_crash_at_any_step_of_the_rollback_is_rolled_back(plan: Bench) -> None:
    checks.rollback_killed_is_resumed(plan)


def test_lost_answers_at_any_step_are_settled(plan: Bench) -> None:
    checks.lost_answers_are_settled(plan, SECOND)
