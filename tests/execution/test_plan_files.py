"""Saved plans: only the reviewed one, here, by this actor, soon, and as long as nothing changed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings

from reconciler.errors import StalePlan, UsageError
from reconciler.execution.plan_file import (
    LIFETIME,
    check_fits,
    check_fresh,
    is_plan,
    load_plan,
    save_plan,
)
from reconciler.kinds.role import RoleSpec
from reconciler.model.address import Address
from reconciler.model.change import Change
from reconciler.model.inventory import Facts
from reconciler.model.plan import Plan
from reconciler.model.spec import State
from reconciler.planning.request import PlanRequest
from reconciler.planning.saved_plan import judge_again, whole
from tests.execution import size
from tests.execution.test_tokens import STATE
from tests.execution.worlds import Bench, declare, look, plan_for, world
from tests.support.engine import NOW
from tests.support.random_states import states, with_sinks

BITS = range(8)
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
"""Each example runs two plans; the states tell enough."""
QUESTION = PlanRequest("sandbox", "root@pam", NOW)


@pytest.fixture(scope="module")
def plan() -> Plan:
    with world() as cluster:
        return plan_for(cluster.api, STATE)


@pytest.fixture
def file(plan: Plan, tmp_path: Path) -> Path:
    save_plan(plan, tmp_path / "plan.json", NOW)
    return tmp_path / "plan.json"


def meaning(plan: Plan) -> Any:
    return plan.to_json()


def test_a_plan_file_is_canonical_and_its_owner_s(plan: Plan, file: Path, tmp_path: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600
    save_plan(plan, tmp_path / "again.json", NOW)
    assert (tmp_path / "again.json").read_bytes() == file.read_bytes()
    content = json.loads(file.read_bytes())
    assert is_plan(content)
    assert content["digest"] == plan.digest
    assert load_plan(file).plan.digest == plan.digest


def test_every_flipped_bit_is_noticed_or_changes_nothing(plan: Plan, file: Path) -> None:
    whole = file.read_bytes()
    wanted, digest = meaning(plan), plan.digest
    for place in range(len(whole)):
        for bit in BITS if size.at_length else [place % 8]:
            changed = bytearray(whole)
            changed[place] ^= 1 << bit
            file.write_bytes(bytes(changed))
            try:
                saved = load_plan(file)
            except StalePlan as error:
                assert error.exit_status == 5  # noqa: PT017 - most flips are refused, not all
            else:
                assert (meaning(saved.plan), saved.plan.digest) == (wanted, digest)
                assert (saved.created, saved.expires) == (NOW, NOW + LIFETIME)
            size.count("flipped bit of a plan")


def test_a_plan_that_was_cut_is_refused(file: Path) -> None:
    whole = file.read_bytes()
    for length in (len(whole) // 2, len(whole) - 2):
        file.write_bytes(whole[:length])
        with pytest.raises(StalePlan, match="was changed"):
            load_plan(file)
    file.write_text('{"kind": "pvectl.plan"}')
    with pytest.raises(StalePlan, match="was changed"):
        load_plan(file)


def test_a_number_beyond_all_numbers_is_refused(file: Path) -> None:
    file.write_bytes(re.sub(rb'"created":\d+', b'"created":1e999', file.read_bytes()))
    with pytest.raises(StalePlan):
        load_plan(file)


def test_a_file_that_never_was_a_plan_is_a_slip_of_the_pen(file: Path, tmp_path: Path) -> None:
    for text in ("", "[]", "{}", "null", "\x00", '"x"', "[group.ops]"):
        file.write_text(text)
        with pytest.raises(UsageError, match="is not a saved plan"):
            load_plan(file)
    file.write_text('{"before":"00","data":{},"event":"begin","hash":"1","n":0}\n')
    with pytest.raises(UsageError, match="is the journal of a run"):
        load_plan(file)
    for missing in (tmp_path / "missing.json", tmp_path):
        with pytest.raises(UsageError, match="cannot be read"):
            load_plan(missing)


def test_another_cluster_another_actor_and_an_old_plan_are_refused(plan: Plan, file: Path) -> None:
    saved = load_plan(file)
    check_fits(saved, plan.cluster, plan.actor, NOW + LIFETIME - 1)
    for cluster, actor, now, words in (
        ("https://other:8006", plan.actor, NOW, "the plan is for"),
        (plan.cluster, "eve@pve!t", NOW, "the plan was made for"),
        (plan.cluster, plan.actor, NOW + LIFETIME, "has expired"),
    ):
        with pytest.raises(StalePlan, match=words):
            check_fits(saved, cluster, actor, now)


def test_a_stale_plan_is_refused_with_the_difference() -> None:
    role = Address("role", "Backup")
    with world() as cluster:
        plan = plan_for(cluster.api, STATE)
        check_fresh(plan, look(cluster.api))
        theirs = {role: RoleSpec(privileges=("Sys.Console",))}
        with pytest.raises(StalePlan) as caught:
            check_fresh(plan, {**look(cluster.api), **theirs})
        assert "role.Backup: was absent, is privileges Sys.Console" in caught.value.hint
        unconcerned = {Address("role", "Other"): RoleSpec()}
        check_fresh(plan, {**look(cluster.api), **unconcerned})


@settings(max_examples=20, database=None, deadline=None)
@given(states())
def test_any_plan_reads_back_as_it_was_saved(state: State) -> None:
    with world() as cluster:
        plan = plan_for(cluster.api, with_sinks(dict(state)))
        path = cluster.journal.with_suffix(".plan")
        save_plan(plan, path, NOW)
        read = load_plan(path).plan
        assert meaning(read) == meaning(plan)
        assert read.changes == plan.changes
        assert read.seen == plan.seen


@settings(max_examples=10, database=None, deadline=None, phases=NO_SHRINKING)
@given(states(), states())
def test_the_changes_of_any_plan_are_found_again_in_its_steps(first: State, second: State) -> None:
    """Steps hold pieces of changes; a saved plan is judged by the changes themselves."""
    with world() as cluster:
        for state in (first, second):
            plan = plan_for(cluster.api, with_sinks(dict(state)))
            live = look(cluster.api)
            found = whole(plan.changes)
            ends: dict[Address, list[Change]] = {}
            for change in found:
                ends.setdefault(change.address, []).append(change)
            assert {a: own[0].before for a, own in ends.items()} == {a: live.get(a) for a in ends}
            again = judge_again(plan, declare(state), live, Facts(), QUESTION)
            assert {f.code for f in again.refusals} == {f.code for f in plan.refusals}
            if not plan.refusals:
                Bench(cluster, plan).apply(cluster.api)
