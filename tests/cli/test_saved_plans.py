"""A saved plan does what it shows, from the files it names, as far as today's policy allows it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from reconciler.errors import ExitStatus
from reconciler.execution.journal import store
from reconciler.execution.plan_file import load_plan, save_plan
from reconciler.kinds.acl.table import AclSpec
from reconciler.kinds.token import TokenSpec
from reconciler.kinds.user.table import UserSpec
from reconciler.model.address import Address
from reconciler.model.change import Cause, Change, Reason, Undo
from reconciler.model.finding import Severity
from reconciler.model.plan import Plan, Step
from reconciler.model.request import Request
from reconciler.model.secret import SecretRef, SecretSink
from tests.cli.site import Site

TOKENS = """
[group.ops]

[user."bot@pve"]
groups = ["ops"]

[user."bot@pve".token.ci]
secret_to = { file = "secrets/ci" }
"""
EVE = "eve@pve"
SHELL = ("sh", "-c", "touch /tmp/owned")


def planned(site: Site, text: str, *arguments: str) -> Path:
    site.write("a.toml", text)
    ended = site.run("plan", "--out", "p.json", *arguments)
    assert ended.status in {0, 4}, ended
    return site.folder / "p.json"


def forge(path: Path, change: Callable[[Plan], Plan]) -> str:
    """Change a saved plan and make all its digests fit again; returns the one to approve."""
    plan = change(load_plan(path).plan)
    save_plan(plan, path, int(time.time()))
    return plan.digest


def stripped(plan: Plan) -> Plan:
    return replace(plan, findings=())


def with_step(plan: Plan, wanted: str, change: Callable[[Step], Step]) -> Plan:
    """The same plan, one step otherwise: that of the object `wanted`."""
    steps = [change(s) if str(s.changes[0].address) == wanted else s for s in plan.steps]
    assert tuple(steps) != plan.steps
    return replace(plan, steps=tuple(steps))


def with_after(step: Step, **fields: object) -> Step:
    """A step and its request as they are for another spec."""
    (change,) = step.changes
    assert change.after is not None
    after = change.after.model_copy(update=fields)
    return step._replace(changes=(change._replace(after=after),))


def test_a_digest_covers_what_forbids_a_plan_and_what_was_allowed(site: Site) -> None:
    site.settings = '[protected]\nnever_change = ["group.ops"]'
    site.target()
    path = planned(site, "[group.ops]\n")
    before = load_plan(path).plan
    assert [f.code for f in before.refusals] == ["PROTECTED"]
    assert stripped(before).digest != before.digest
    assert replace(before, passed=("PROTECTED=group.ops",)).digest != before.digest


@pytest.mark.parametrize(
    ("settings", "text", "live", "code"),
    [
        ('[protected]\nnever_change = ["group.ops"]', "[group.ops]\n", "", "PROTECTED"),
        (
            '[lockout]\nbreak_glass = ["old@pve"]\n',
            '[user."old@pve"]\nenabled = false\n',
            "user:old@pve:1:0::::::\nacl:1:/:old@pve:Administrator:\n",
            "LOCKOUT",
        ),
        (
            "",
            '[[removed]]\naddress = "user.old@pve"\n',
            "user:old@pve:1:0::::::\n",
            "IRREVERSIBLE",
        ),
        (
            "",
            '[[expect]]\nwho = "bob@pve"\ncan = ["Sys.Audit"]\npaths = ["/"]\n[user."bob@pve"]\n',
            "",
            "EXPECT",
        ),
    ],
    ids=["protected", "lockout", "irreversible", "expectation"],
)
def test_a_refused_plan_stays_refused_without_its_findings(
    settings: str, text: str, live: str, code: str, site: Site
) -> None:
    if live:
        site.edit("user.cfg", "", live)
        site.original = site.cluster_files()
    site.settings = settings
    site.target()
    path = planned(site, text)
    assert code in {f.code for f in load_plan(path).plan.refusals}
    digest = forge(path, stripped)
    ended = site.run("apply", path, "--approve", digest)
    assert ended.status == ExitStatus.REFUSED, ended
    assert f"error {code} " in ended.err
    assert "E_REFUSED: saved plan rejected by the current policy" in ended.err
    assert site.untouched


def test_a_policy_that_was_tightened_after_planning_counts(site: Site) -> None:
    path = planned(site, "[group.ops]\n")
    site.settings = '[protected]\nnever_change = ["group.*"]'
    site.target()
    ended = site.run("apply", path)
    assert ended.status == ExitStatus.REFUSED
    assert "error PROTECTED group.ops must never change" in ended.err
    assert "pvectl.toml" in ended.err
    assert site.untouched


def test_what_a_glob_let_pass_is_all_that_it_lets_pass(site: Site) -> None:
    site.settings = '[protected]\nnever_change = ["group.ops"]'
    site.target()
    path = planned(site, "[group.ops]\n[group.dev]\n", "--allow", "PROTECTED=*")
    assert load_plan(path).plan.passed == ("PROTECTED=group.ops",)
    site.settings = '[protected]\nnever_change = ["group.*"]'
    site.target()
    ended = site.run("apply", path)
    assert ended.status == ExitStatus.REFUSED
    assert "group.dev must never change" in ended.err
    assert "group.ops must never change" not in ended.err
    assert site.untouched


def test_an_allowed_plan_is_applied(site: Site) -> None:
    site.settings = '[protected]\nnever_change = ["group.ops"]'
    site.target()
    path = planned(site, "[group.ops]\n", "--allow", "PROTECTED=*")
    assert site.run("apply", path, "--strict").status == ExitStatus.OK
    assert "group:ops:" in site.user_cfg()


def _hidden_request(step: Step) -> Step:
    params = (*step.request.params, ("groups", "admins"))
    return step._replace(request=step.request._replace(params=params))


def _grant(step: Step) -> Step:
    grant = (("path", "/"), ("roles", "Administrator"), ("users", EVE), ("propagate", "1"))
    return step._replace(request=Request("PUT", ("access", "acl"), grant))


@pytest.mark.parametrize(
    ("wanted", "change"),
    [
        ("user.bot@pve", _hidden_request),
        ("group.ops", _grant),
        ("token.bot@pve!ci", lambda step: step._replace(sink=SecretSink(command=SHELL))),
        ("token.bot@pve!ci", lambda step: step._replace(sink=None)),
        ("user.bot@pve", lambda step: step._replace(undo=Undo.NONE)),
        ("user.bot@pve", lambda step: step._replace(changes=())),
    ],
    ids=["parameter", "entry", "sink", "no sink", "undo", "no change"],
)
def test_a_step_that_does_something_else_than_it_shows_is_refused(
    wanted: str, change: Callable[[Step], Step], site: Site
) -> None:
    path = planned(site, TOKENS)
    steps = load_plan(path).plan.steps
    number = [str(step.changes[0].address) for step in steps].index(wanted) + 1
    digest = forge(path, lambda plan: with_step(plan, wanted, change))
    for command in (("apply", path, "--approve", digest), ("show", path)):
        ended = site.run(*command)
        assert ended.status == ExitStatus.STALE, ended
        assert f"E_STALE: step {number} " in ended.err
        assert "is forged" in ended.err
    assert site.untouched


def _sink_everywhere(step: Step) -> Step:
    sink = SecretSink(command=SHELL)
    return with_after(step, secret_to=sink)._replace(sink=sink)


def _password(step: Step) -> Step:
    secret = SecretRef(command=SHELL)
    step = with_after(step, password=secret)
    params = (*step.request.params, ("password", secret))
    return step._replace(request=step.request._replace(params=params))


@pytest.mark.parametrize(
    ("wanted", "change"),
    [("token.bot@pve!ci", _sink_everywhere), ("user.bot@pve", _password)],
    ids=["sink", "secret"],
)
def test_secrets_come_and_go_only_where_the_state_files_say(
    wanted: str, change: Callable[[Step], Step], site: Site
) -> None:
    path = planned(site, TOKENS)
    digest = forge(path, lambda plan: with_step(plan, wanted, change))
    shown = site.run("show", path)
    assert shown.status == ExitStatus.OK
    assert "the command: sh -c 'touch /tmp/owned'" in " ".join(shown.out.split())
    ended = site.run("apply", path, "--approve", digest)
    assert ended.status == ExitStatus.STALE, ended
    assert f"({wanted}) names " in ended.err
    assert "which no state file names" in ended.err
    assert site.untouched


def _planted(plan: Plan) -> Plan:
    """A whole change more: its request is right, its object is seen."""
    eve = Address("user", EVE)
    entry = Address("acl", f"/|user:{EVE}|Administrator")
    reason = Reason(Cause.MISSING, "declared in a.toml:1, not in the cluster")
    user = Change(eve, None, UserSpec(keys=""), reason)
    grant = Change(entry, None, AclSpec(), reason)
    make = Request("POST", ("access", "users"), (("userid", EVE),))
    params = (("path", "/"), ("roles", "Administrator"), ("users", EVE), ("propagate", "1"))
    steps = (
        Step(make, (user,), "user.cfg"),
        Step(Request("PUT", ("access", "acl"), params), (grant,), "user.cfg"),
    )
    seen = {**dict(plan.seen), eve: None, entry: None}
    return replace(plan, steps=(*plan.steps, *steps), seen=tuple(sorted(seen.items())))


def _seen(plan: Plan, path: Path, site: Site) -> Plan:
    """What the plan's objects are, as pvectl itself would have seen them."""
    extra = planned(
        site,
        f'{TOKENS}\n[user."{EVE}"]\n[[acl]]\nroles = ["Administrator"]\n'
        f'paths = ["/"]\nusers = ["{EVE}"]\n',
    )
    seen = load_plan(extra).plan.seen
    return replace(_planted(plan), seen=seen)


def test_a_planted_change_that_no_file_asks_for_is_refused(site: Site) -> None:
    path = planned(site, TOKENS)
    plan = load_plan(path).plan
    forged = _seen(plan, path, site)
    site.write("a.toml", TOKENS)
    save_plan(forged, path, int(time.time()))
    ended = site.run("apply", path, "--approve", forged.digest)
    assert ended.status == ExitStatus.STALE, ended
    assert "the state files now give a different plan for " in ended.err
    assert f"user.{EVE}" in ended.err
    assert site.untouched
    save_plan(replace(forged, files={}), path, int(time.time()))
    ended = site.run("apply", path, "--strict")
    assert ended.status == ExitStatus.STALE
    assert "does not record the state files it was made from" in ended.err
    assert site.untouched


def test_what_a_plan_was_made_from_cannot_be_left_out(site: Site) -> None:
    path = planned(site, TOKENS)
    forge(path, lambda plan: replace(plan, seen=plan.seen[1:]))
    ended = site.run("apply", path)
    assert ended.status == ExitStatus.STALE
    assert "it lacks the state of " in ended.err
    assert site.untouched


def test_steps_in_another_order_are_refused(site: Site) -> None:
    path = planned(site, TOKENS)
    forge(path, lambda plan: replace(plan, steps=plan.steps[::-1]))
    ended = site.run("apply", path)
    assert ended.status == ExitStatus.REFUSED, ended
    assert "error PLAN_ORDER step 1 runs before what it needs" in ended.err
    assert site.untouched


def test_state_files_that_changed_are_told_of_and_refused_on_demand(site: Site) -> None:
    path = planned(site, "[group.ops]\n[group.dev]\n")
    site.write("a.toml", "[group.ops]\n")
    site.write("b.toml", "[group.new]\n")
    strict = site.run("apply", path, "--strict")
    assert strict.status == ExitStatus.STALE
    assert "have changed since the plan was made: a.toml, b.toml" in strict.err
    assert site.untouched
    applied = site.run("apply", path)
    assert applied.status == ExitStatus.OK, applied
    assert "a.toml, b.toml; they now declare otherwise: group.dev" in applied.err
    assert "group:dev:" in site.user_cfg()


def test_strict_is_for_saved_plans(site: Site) -> None:
    site.write("a.toml", "[group.ops]\n")
    assert site.run("apply", "--strict", "--yes").status == ExitStatus.USAGE


def test_a_plan_that_was_made_in_the_future_is_refused(site: Site) -> None:
    path = planned(site, "[group.ops]\n")
    plan = load_plan(path).plan
    save_plan(plan, path, int(time.time()) + 3600)
    ended = site.run("apply", path)
    assert ended.status == ExitStatus.STALE
    assert "minutes in the future" in ended.err
    save_plan(plan, path, int(time.time()) - 90_000, lifetime=10**9)
    assert "has expired" in site.run("apply", path).err
    assert site.untouched
    save_plan(plan, path, int(time.time()) + 60)
    assert site.run("apply", path).status == ExitStatus.OK


def test_a_plan_that_is_nested_without_end_is_not_a_bug(site: Site) -> None:
    path = planned(site, "[group.ops]\n")
    path.write_bytes(b'{"seal":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    for command in ("apply", "show"):
        assert site.run(command, path).status in {5, 64}


def test_a_token_keeps_its_place(site: Site) -> None:
    assert TokenSpec().secret_to is None
    path = planned(site, TOKENS)
    assert site.run("apply", path).status == ExitStatus.OK
    assert (site.state / "secrets" / "ci").exists()
    assert Severity.ERROR not in {f.severity for f in load_plan(path).plan.findings}


def _journal(site: Site, change: Callable[[Plan], Plan]) -> Path:
    """An unfinished journal as somebody else may have planted it: all its hashes fit."""
    with mock.patch.dict(os.environ, {"PVECTL_HOME": str(site.home)}):
        folder = store.base_of(site.cluster.url)
    plan = change(load_plan(planned(site, TOKENS)).plan)
    with store.start(folder, plan, "eve", "", time.time()) as planted:
        (request,) = {step.request for step in plan.steps[:1]}
        planted.write(
            "intent", step=0, direction="forward", request=request.to_json(), time=time.time()
        )
        return planted.path


@pytest.mark.parametrize(
    ("wanted", "change"),
    [
        ("group.ops", _grant),
        ("user.bot@pve", _hidden_request),
        ("token.bot@pve!ci", lambda step: step._replace(sink=SecretSink(command=SHELL))),
    ],
    ids=["entry", "parameter", "sink"],
)
@pytest.mark.parametrize("command", ["resume", "rollback"])
def test_a_planted_journal_does_nothing(
    command: str, wanted: str, change: Callable[[Step], Step], site: Site
) -> None:
    path = _journal(site, lambda plan: with_step(plan, wanted, change))
    for words in ((command,), (command, path)):
        ended = site.run(*words)
        assert ended.status == ExitStatus.NOT_RESTORED, ended
        assert "E_JOURNAL: step " in ended.err
        assert "is not what this version of pvectl does" in ended.err
    assert site.untouched


def test_a_journal_shows_where_secrets_go(site: Site) -> None:
    path = _journal(site, lambda plan: with_step(plan, "token.bot@pve!ci", _sink_everywhere))
    shown = " ".join(site.run("show", path).out.split())
    assert "the new secret goes to the command: sh -c 'touch /tmp/owned'" in shown
