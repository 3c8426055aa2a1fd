"""Keys of second factors in user.cfg: set, changed, left alone, and never told."""

from __future__ import annotations

import json
from pathlib import Path

from reconciler.model.address import Address
from reconciler.model.change import Undo
from reconciler.model.declared import Declared, Desired
from reconciler.model.finding import Source
from reconciler.model.plan import Plan
from reconciler.model.request import request
from reconciler.sandbox.http.direct import SandboxApi
from tests.kinds.samples import declared
from tests.support.engine import FRESH, cluster, plan_for, run_plan

SECRET = "JBSWY3DPEHPK3PXP"
ANNA = Address("user", "anna@pve")
THERE = FRESH.replace("\n\n", f"\nuser:anna@pve:1:0:::::{SECRET}:\n\n", 1)


def planned(api: SandboxApi, **table: str) -> Plan:
    spec = declared("user", ANNA.id, table)
    return plan_for(api, Desired(objects={ANNA: Declared(spec, Source("users.toml", 1))}))


def keys(api: SandboxApi) -> str:
    (user,) = api.get([request("GET", "access", "users", ANNA.id)])
    return str(user.get("keys") or "")


def test_keys_that_are_not_declared_stay_and_stand_in_no_plan(tmp_path: Path) -> None:
    api = cluster(tmp_path / "pve", THERE)
    plan = planned(api, comment="new")
    assert SECRET not in json.dumps(plan.to_json())
    report, _ = run_plan(api, plan, tmp_path / "home")
    assert report.complete
    assert keys(api) == SECRET


def test_keys_are_set_changed_and_cleared_and_a_second_plan_is_empty(tmp_path: Path) -> None:
    api = cluster(tmp_path / "pve", THERE)
    for wanted in (SECRET, "cccccccccccc", "", "dddddddddddd"):
        plan = planned(api, keys=wanted)
        assert bool(plan.steps) == (wanted != SECRET)
        assert run_plan(api, plan, tmp_path / f"run {wanted}")[0].complete
        assert keys(api) == wanted
        assert planned(api, keys=wanted).steps == ()


def test_other_keys_cannot_be_removed_again(tmp_path: Path) -> None:
    api = cluster(tmp_path / "pve", THERE)
    (step,) = planned(api, keys="cccccccccccc").steps
    assert step.undo is Undo.NONE
