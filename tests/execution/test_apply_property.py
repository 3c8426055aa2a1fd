"""For random states A and B: apply gives B, a second plan is empty, a failure gives A back."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings

from reconciler.model.change import Undo
from tests.support.engine import (
    Faulty,
    access_state,
    cluster,
    declare,
    plan_for,
    refuse_at,
    run_plan,
)
from tests.support.random_states import access_states


@settings(max_examples=40)
@given(access_states(), access_states())
def test_apply_gives_the_declared_state_and_then_there_is_nothing_to_do(first, second):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        api = cluster(folder / "pve")
        for number, state in enumerate((first, second)):
            plan = plan_for(api, declare(state))
            assert not plan.refusals
            report, _ = run_plan(api, plan, folder / f"journal-{number}")
            assert report.outcome == "done", report
            assert report.complete
            assert access_state(api) == state
            assert plan_for(api, declare(state)).steps == ()


@settings(max_examples=15)
@given(access_states(), access_states())
def test_a_refusal_at_any_step_gives_back_what_was_there(first, second):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        api = cluster(folder / "pve")
        run_plan(api, plan_for(api, declare(first)), folder / "first")
        before = (folder / "pve" / "user.cfg").read_bytes()
        plan = plan_for(api, declare(second))
        pivots = [n for n, step in enumerate(plan.steps, 1) if step.undo is Undo.NONE]
        reversible = pivots[0] if pivots else len(plan.steps)
        for step in range(1, reversible + 1):
            faulty = Faulty(api, refuse_at(step))
            report, journal = run_plan(faulty, plan, folder / f"journal-{step}")
            assert report.outcome == "rolled back"
            assert report.restored, report
            assert journal.state.is_finished
            assert (folder / "pve" / "user.cfg").read_bytes() == before
