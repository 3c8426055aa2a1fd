"""The example policy for conftest and OPA judges the plans that pvectl writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import regopy

from tests.cli.in_process import ask_json
from tests.support.command import copy_fixture

POLICY = Path(__file__).parents[2] / "examples" / "policy" / "plan.rego"
GROUP = '[group.ops]\n[user."ann@pve"]\ngroups = ["ops"]\n'
GRANT = '[[acl]]\nroles = ["{}"]\npaths = ["/vms"]\ngroups = ["ops"]\n'


def judged(rule: str, plan: object) -> set[str]:
    """The messages of one rule of the policy."""
    interpreter = regopy.Interpreter()
    interpreter.add_module("plan", POLICY.read_text())
    interpreter.set_input(plan)
    (messages,) = json.loads(str(interpreter.query(f"data.main.{rule}")))["expressions"]
    return set(messages)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    state = tmp_path / "state"
    state.mkdir()
    return copy_fixture("team", tmp_path / "pve"), state


def test_what_is_harmless_passes(place: tuple[Path, Path]) -> None:
    pve, state = place
    (state / "a.toml").write_text(GROUP + GRANT.format("PVEAuditor"))
    plan = ask_json("plan", on=pve, state=state)
    assert plan["steps"]
    assert judged("deny", plan) == judged("warn", plan) == set()


def test_gained_power_and_a_deletion_beside_others_are_denied(place: tuple[Path, Path]) -> None:
    pve, state = place
    gone = '[[removed]]\naddress = "user.alice@pve"\n'
    (state / "a.toml").write_text(GROUP + GRANT.format("Administrator") + gone)
    flag = "IRREVERSIBLE=user.alice@pve"
    plan = ask_json("plan", "--allow", flag, on=pve, state=state)
    gained = "ops (1 user) gains every privilege on /vms and all below: {} needs the security team"
    assert judged("deny", plan) == {
        "user.alice@pve is deleted together with 3 other changes: plan it alone",
        *(gained.format(n) for n in ("Permissions.Modify", "Realm.Allocate", "User.Modify")),
    }
    assert judged("warn", plan) == {"allowed by --allow IRREVERSIBLE=user.alice@pve"}
    (state / "a.toml").write_text(gone)
    alone = ask_json("plan", "--allow", flag, on=pve, state=state)
    assert judged("deny", alone) == set()


def test_a_plan_that_nobody_can_read_is_denied(place: tuple[Path, Path]) -> None:
    pve, state = place
    (state / "a.toml").write_text("".join(f"[group.g{n}]\n" for n in range(51)))
    plan = ask_json("plan", on=pve, state=state)
    assert judged("deny", plan) == {
        "more than 50 changes: split it, or have it approved as a migration"
    }
