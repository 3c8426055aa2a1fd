"""A plan as people read it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace

from reconciler.errors import Interrupted
from reconciler.kinds import fingerprint
from reconciler.kinds.acl.table import AclSpec
from reconciler.kinds.role import RoleSpec
from reconciler.kinds.token import TokenSpec
from reconciler.kinds.user.table import UserSpec
from reconciler.model.address import Address
from reconciler.model.change import Cause
from reconciler.model.drift import DriftClass
from reconciler.model.drift_memory import Memory
from reconciler.model.finding import Finding, Severity, Source
from reconciler.model.plan import Plan
from reconciler.model.run import Outcome, RunReport
from reconciler.model.spec import Spec
from reconciler.planning.drift import drift_of, remembered
from reconciler.render import FORMATS
from reconciler.render.documents.plan import plans_only
from reconciler.render.view import View
from tests.render import samples

RENDER_ALL = """
import sys
from reconciler.render import FORMATS
from reconciler.planning.drift import drift_of
from reconciler.render.view import View
from tests.render import samples
plan = samples.busy_plan()
for kind, content in (("plan", plan), ("drift", drift_of(plan)), ("findings", plan.findings)):
    for name in sorted(FORMATS[kind]):
        sys.stdout.write(FORMATS[kind][name](content, View()))
"""


def _text(plan: Plan, **view: object) -> str:
    return FORMATS["plan"]["text"](plan, View(**view))  # type: ignore[arg-type]


def test_the_same_plan_gives_the_same_bytes_under_any_hash_seed() -> None:
    shown = {
        subprocess.run(
            [sys.executable, "-c", RENDER_ALL],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(shown) == 1
    assert len(shown.pop()) > 1000


def test_the_last_line_says_what_to_do() -> None:
    first, busy = samples.first_plan(), samples.busy_plan()
    nothing = Plan(samples.CLUSTER, samples.ACTOR)
    last = [
        _text(nothing).splitlines()[-1],
        _text(first, next_command="pvectl apply plan.json").splitlines()[-1],
        _text(busy, next_command="pvectl apply").splitlines()[-1],
    ]
    assert last[0] == "No changes. The cluster matches the declared state."
    assert last[1] == "To apply: pvectl apply plan.json"
    assert last[2].startswith("Plan refused: fix 2 errors.")


def test_who_may_plan_only_is_not_told_to_apply() -> None:
    weak = Finding("MISSING_PRIVILEGE", Severity.WARNING, "cannot apply it")
    plan = replace(samples.first_plan(), findings=(weak,))
    text = " ".join(_text(plan, next_command="pvectl apply").split())
    assert "To apply" not in text
    assert f"{samples.ACTOR} may only plan; apply with a token that has what" in text
    assert plans_only(plan)
    assert not plans_only(samples.first_plan())


def test_nothing_is_wider_than_the_terminal_but_what_cannot_be_broken() -> None:
    for line in _text(samples.busy_plan(), width=80).splitlines():
        assert len(line) <= 80


def test_many_alike_entries_share_a_line_and_a_few_do_not() -> None:
    text = _text(samples.busy_plan())
    assert "+ 50 objects acl./vms/100|*|PVEVMUser" in text
    assert "and 20 more" in text
    assert "acl./storage/local|user:felhom-ctl@pve|FelhomSelfBackup" in _text(samples.first_plan())


def test_irreversible_steps_windows_and_sinks_are_marked() -> None:
    text = _text(samples.busy_plan())
    assert "! IRREVERSIBLE: cannot be rolled back" in text
    assert "! temporarily: automation@pve!pvectl lacks Pool.Audit on /pool/Dev" in text
    assert "the new secret is stored in file secrets/felhom-ctl" in _text(samples.first_plan())


def test_a_guest_that_changes_its_pool_is_shown_as_a_move() -> None:
    assert "~ 120 moves from pool.Dev to pool.Prod (guests)" in _text(samples.busy_plan())


def test_the_document_for_programs_is_the_plan_with_its_digest() -> None:
    plan = samples.busy_plan()
    shown = json.loads(FORMATS["plan"]["json"](plan, View(impact_json={"effects": []})))
    assert shown["kind"] == "plan"
    assert shown["digest"] == plan.digest
    assert shown["counts"] == {"create": 52, "update": 6, "delete": 3, "requests": 11}
    assert shown["impact"] == {"effects": []}
    assert shown.items() >= plan.to_json().items()


def test_ten_thousand_entries_are_rendered_in_little_time() -> None:
    plan = samples.plan(
        samples.change(f"acl./vms/{path}|user:u{who}@pve|PVEVMUser", None, AclSpec())
        for path in range(100, 200)
        for who in range(100)
    )
    begin = time.process_time()
    for name in ("text", "markdown", "json"):
        FORMATS["plan"][name](plan, View())
    assert time.process_time() - begin < 3


def _classes(plan: Plan, **known: object) -> dict[str, DriftClass]:
    drift = drift_of(plan, **known)  # type: ignore[arg-type]
    return {str(one.change.address): one.kind for one in drift.differences}


def test_drift_says_where_each_difference_comes_from() -> None:
    entry, token = AclSpec(), TokenSpec()
    user = UserSpec(keys="")
    causes = [
        samples.change("role.A", samples.ROLE, RoleSpec(), Cause.DIFFERS),
        samples.change("role.B", None, samples.ROLE, Cause.MISSING),
        samples.change("user.c@pve", user, None, Cause.UNDECLARED),
        samples.change("token.c@pve!t", token, None, Cause.DEPENDENT),
        samples.change("acl./|token:c@pve!t|PVEAuditor", entry, None, Cause.DEPENDENT),
        samples.change("acl./|user:d@pve|PVEAuditor", entry, None, Cause.EXPIRED),
        samples.change("user.e@pve", user, None, Cause.REMOVED),
    ]
    plan = samples.plan(causes)
    assert _classes(plan) == {
        "role.A": DriftClass.UNKNOWN,
        "role.B": DriftClass.UNKNOWN,
        "user.e@pve": DriftClass.UNKNOWN,
        "acl./|token:c@pve!t|PVEAuditor": DriftClass.UNDECLARED,
        "token.c@pve!t": DriftClass.UNDECLARED,
        "user.c@pve": DriftClass.UNDECLARED,
        "acl./|user:d@pve|PVEAuditor": DriftClass.EXPIRED,
    }
    names = ("role.A", "role.B", "user.e@pve")

    def known(*left: Spec | None, complete: bool = True) -> list[DriftClass]:
        addresses = [Address.parse(name) for name in names]
        told = {a: fingerprint(a, spec) for a, spec in zip(addresses, left, strict=False)}
        found = _classes(plan, memory=Memory(baseline=told, complete=complete))
        return [found[name] for name in names]

    changed, in_files = DriftClass.CHANGED, DriftClass.CHANGED_IN_FILES
    assert known() == [in_files, DriftClass.NEVER_APPLIED, in_files]
    assert known(complete=False) == [DriftClass.UNKNOWN] * 3
    assert known(samples.ROLE, samples.ROLE, user) == [in_files, changed, in_files]
    assert known(RoleSpec(), None, None) == [changed, in_files, changed]


def test_drift_that_went_away_is_named() -> None:
    before = drift_of(samples.busy_plan())
    memory = remembered(before, Memory(), {}, {}, {}, 1)
    after = drift_of(Plan(samples.CLUSTER, samples.ACTOR), memory=memory)
    assert len(after.gone) == len(before.differences)
    assert "Resolved since the previous report" in FORMATS["drift"]["text"](after, View())


def test_many_alike_findings_are_counted_instead_of_shown() -> None:
    note, error = (
        Finding(code, severity, f"{code} {number}", source=Source("a.toml", number))
        for code, severity, number in (("NOTED", Severity.NOTE, 1), ("BAD", Severity.ERROR, 1))
    )
    many = [note._replace(message=f"NOTED {n}", source=Source("a.toml", n)) for n in range(1, 2501)]
    found = samples.plan([], [error, *many])
    for name in ("text", "markdown"):
        shown = FORMATS["plan"][name](found, View())
        assert "and 2,495 more of NOTED" in shown
        assert "NOTED 5" in shown
        assert "NOTED 6" not in shown
        assert "BAD 1" in shown
    assert len(json.loads(FORMATS["plan"]["json"](found, View()))["findings"]) == 2501


def test_a_single_finding_more_is_shown_rather_than_counted() -> None:
    few = [Finding("NOTED", Severity.NOTE, f"number {n}") for n in range(6)]
    shown = _text(samples.plan([], few))
    assert "number 5" in shown
    assert "more of" not in shown


def test_a_long_run_that_went_well_is_not_listed_to_its_end() -> None:
    done = tuple((Address("group", f"g{number:04}"), Outcome.DONE) for number in range(500))
    text = FORMATS["report"]["text"](RunReport("done", done), View())
    assert len(text.splitlines()) < 30
    assert "Done: 500\n" in text
    assert "and 480 more; `--format json` lists all" in text
    whole = json.loads(FORMATS["report"]["json"](RunReport("done", done), View()))
    assert len(whole["objects"]) == 500
    stopped = FORMATS["report"]["text"](RunReport("stuck", done, Interrupted("stopped")), View())
    assert "group.g0499" in stopped


def test_who_plans_at_which_commit_does_not_change_what_is_approved() -> None:
    plan = samples.busy_plan()
    others = replace(plan, actor="ci@pve!apply", source="0123abc", findings=plan.refusals)
    assert others.digest == plan.digest
    assert replace(plan, cluster="https://other.example.com:8006").digest != plan.digest
    assert replace(plan, steps=plan.steps[:-1]).digest != plan.digest
