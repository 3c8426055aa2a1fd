"""What pvectl asks for itself is enough for the state, and no part of it is too much."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli.context import kinds_to_read, read_cluster
from reconciler.desired.loader import load, require_valid
from reconciler.errors import Blind, ExitStatus
from reconciler.kinds import all_kinds
from reconciler.model.declared import Desired
from reconciler.model.request import request
from reconciler.planning.bootstrap.least_privilege import (
    APPLY,
    NeededGrant,
    applying_needs,
    bootstrap,
    planning_needs,
    vanishing,
)
from reconciler.planning.builder import build_plan
from reconciler.planning.request import PlanRequest
from reconciler.sandbox.http.direct import SandboxApi
from tests.cli.in_process import ask, ask_json
from tests.cli.site import files_of
from tests.support.command import copy_fixture
from tests.support.engine import NOW
from tests.support.pveum import run_lines

ACTOR = "automation@pve!pvectl"

STATE = """
[role.Keeper]
privileges = ["VM.Audit", "VM.Backup"]
{note}

[group.ops]
comment = "{comment}"

[user."ann@pve"]
comment = "{comment}"
groups = ["ops"]
[user."ann@pve".token.ci]
comment = "{comment}"
secret_to = {{ file = "secrets/ci" }}

[[acl]]
roles = ["Keeper"]
paths = ["/vms/9001", "/pool/dev"]
tokens = ["ann@pve!ci"]
[[acl]]
roles = ["PVEAuditor"]
paths = ["/nodes"]
groups = ["ops"]

[pool.dev]
comment = "{comment}"
guests = [9000]
storages = ["usb"]

[storage.usb]
type = "dir"
path = "/mnt/usb"
content = ["backup"]
keep = {{ last = {number} }}

[realm.corp]
type = "ldap"
server1 = "ldap.example.invalid"
base_dn = "dc=example,dc=invalid"
user_attr = "uid"
comment = "{comment}"
[realm.corp.sync.hourly]
schedule = "0{number}:00"

[backup.nightly]
schedule = "0{number}:30"
storage = "usb"
pool = "dev"
keep = {{ last = 3 }}
fleecing = {{ enabled = true, storage = "local" }}
"""
"""An object of every kind."""

GOING = """
[[removed]]
address = "backup.nightly"
[[removed]]
address = "realm_sync.hourly"
[[removed]]
address = "realm.corp"
[[removed]]
address = "pool.dev"
[[removed]]
address = "storage.usb"
[[removed]]
address = "user.ann@pve"
[[removed]]
address = "group.ops"
[[removed]]
address = "role.Keeper"
"""


def text(number: int) -> str:
    note = "" if number < 3 else 'owner = "ops"'
    return STATE.format(number=number, comment=f"number {number}", note=note)


def declared(folder: Path, content: str) -> Desired:
    folder.mkdir(exist_ok=True)
    (folder / "all.toml").write_text(content)
    desired = load(folder)
    require_valid(desired.findings)
    return desired


@pytest.fixture
def worlds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh cluster, `pve`, and a state folder with an object of every kind."""
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    folder = copy_fixture("fresh", tmp_path / "pve")
    state = tmp_path / "state"
    declared(state, text(2))
    settings = f'[target]\nendpoint = "sandbox:{folder}"\ntoken_id = "{ACTOR}"\n'
    (state / "pvectl.toml").write_text(settings)
    return tmp_path


def test_the_state_has_every_kind() -> None:
    for name, kind in all_kinds().items():
        key = f".{kind.toml.place.key}." if kind.toml.place.inside else f"[{kind.toml.place.key}"
        assert key in STATE, name


@pytest.mark.parametrize("options", [(), ("--least",)])
def test_with_exactly_these_grants_it_plans_applies_and_comes_back(
    worlds: Path, options: tuple[str, ...]
) -> None:
    state, folder = worlds / "state", worlds / "pve"
    printed = ask("bootstrap", *options, state=state)
    assert printed.status == ExitStatus.OK
    assert "automation@pve!pvectl will be able to become root" in " ".join(printed.out.split())
    assert run_lines(SandboxApi(folder), printed.out)
    planned = ask("plan", "--detailed-exitcode", state=state)
    assert planned.status == ExitStatus.CHANGES, planned
    assert "MISSING_PRIVILEGE" not in planned.out
    applied = ask("apply", "--yes", state=state)
    assert applied.status == ExitStatus.OK, applied
    (state / "all.toml").write_text(text(3))
    changed = ask("apply", "--yes", state=state)
    assert changed.status == ExitStatus.OK, changed
    assert ask("plan", "--detailed-exitcode", state=state).status == ExitStatus.OK
    (state / "all.toml").write_text(GOING)
    (state / "more.toml").write_text("")
    gone = ask(
        *("apply", "--yes", "--allow", "IRREVERSIBLE=*", "--allow", "LIMIT_DELETE=*"), state=state
    )
    assert gone.status == ExitStatus.OK, gone


def test_the_other_token_plans_and_is_kept_from_applying(worlds: Path) -> None:
    state, folder = worlds / "state", worlds / "pve"
    printed = ask("bootstrap", "--plan-only", "--token", "ci@pve!plan", state=state)
    assert "as good as root" not in printed.out
    run_lines(SandboxApi(folder), printed.out)
    settings = f'[target]\nendpoint = "sandbox:{folder}"\ntoken_id = "ci@pve!plan"\n'
    (state / "pvectl.toml").write_text(settings)
    before = files_of(folder)
    planned = ask("plan", "--detailed-exitcode", state=state)
    assert planned.status == ExitStatus.CHANGES, planned
    words = " ".join(planned.out.split())
    assert "ci@pve!plan can plan this but not apply it: Group.Allocate on /access/groups, " in words
    assert ask("drift", state=state).status == ExitStatus.CHANGES
    refused = ask("apply", "--yes", state=state)
    assert refused.status == ExitStatus.REFUSED, refused
    assert "ci@pve!plan can plan this but not apply it" in refused.err
    assert files_of(folder) == before


def test_few_lines_make_both_tokens_and_may_be_run_again(worlds: Path) -> None:
    state, folder = worlds / "state", worlds / "pve"
    api = SandboxApi(folder)
    lines = run_lines(api, ask("bootstrap", state=state).out)
    assert len(lines) <= 16, lines
    roles = {row["roleid"] for row in api.get([request("GET", "access", "roles")])[0]}
    assert {"AutomationApply", "AutomationPlan"} <= roles
    api.send(request("PUT", "access", "roles", "AutomationApply", privs="VM.Audit"))
    made = files_of(folder)
    run_lines(api, ask("bootstrap", state=state).out)
    assert ask("plan", "--detailed-exitcode", state=state).status == ExitStatus.CHANGES
    run_lines(api, ask("bootstrap", state=state).out)
    assert {name for name in made if files_of(folder)[name] != made[name]} == {"user.cfg"}
    names = [
        line.split()[3]
        for line in run_lines(api, ask("bootstrap", "--least", state=state).out)
        if "role add" in line
    ]
    assert {"AutomationApplyPools", "AutomationApplyGroups", "AutomationPlanGuests"} <= set(
        names
    ), names


def test_the_lines_of_init_make_a_token_that_plans_and_one_that_applies(worlds: Path) -> None:
    state, folder = worlds / "state", worlds / "pve"
    (worlds / "new").mkdir()
    (worlds / "new/.gitignore").write_bytes(b"caf\xe9\r\nmine")
    told = ask("init", state=worlds / "new").err
    ignored = (worlds / "new/.gitignore").read_bytes()
    assert ignored == b"caf\xe9\r\nmine\nsecrets/\n.env\n*.env\n"
    assert told.index("pveum user add") < told.index("created ")
    lines = run_lines(SandboxApi(folder), told)
    assert len(lines) == 6
    for token, ends in (("planner@pve!pvectl", ExitStatus.REFUSED), (ACTOR, ExitStatus.OK)):
        assert f'"{ACTOR}"' in (worlds / "new" / "pvectl.toml").read_text()
        (state / "pvectl.toml").write_text(
            f'[target]\nendpoint = "sandbox:{folder}"\ntoken_id = "{token}"\n'
        )
        assert ask("plan", "--detailed-exitcode", state=state).status == ExitStatus.CHANGES
        assert ask("apply", "--yes", state=state).status == ends


def test_a_token_of_root_is_not_the_one_to_grant_to(worlds: Path) -> None:
    settings = '[target]\nendpoint = "https://pve.example.com:8006"\ntoken_id = "root@pam!x"\n'
    (worlds / "state" / "pvectl.toml").write_text(settings)
    told = ask_json("bootstrap", state=worlds / "state")
    assert [part["principal"] for part in told["parts"]] == [ACTOR, "automation@pve!plan"]


def test_both_tokens_at_once(worlds: Path) -> None:
    """The planning token has its own, smaller entries; its user has those of the other one."""
    state, folder = worlds / "state", worlds / "pve"
    run_lines(SandboxApi(folder), ask("bootstrap", "--least", state=state).out)
    (state / "pvectl.toml").write_text(
        f'[target]\nendpoint = "sandbox:{folder}"\ntoken_id = "automation@pve!plan"\n'
    )
    assert ask("plan", "--detailed-exitcode", state=state).status == ExitStatus.CHANGES
    held = ask_json("explain", "automation@pve!plan", "/access/groups", state=state)["held"]
    assert held == ["Sys.Audit"]


def grant(api: SandboxApi, grants: tuple[NeededGrant, ...]) -> None:
    """For a user with a token; one role per grant."""
    api.send(request("POST", "access", "users", userid="automation@pve"))
    api.send(request("POST", "access", "users", "automation@pve", "token", "pvectl"))
    for number, one in enumerate(grants):
        privs = ",".join(one.privileges)
        api.send(request("POST", "access", "roles", roleid=f"Own{number}", privs=privs))
        regrant(api, number, one)


def regrant(api: SandboxApi, number: int, one: NeededGrant) -> None:
    """Bring a grant to the cluster that was made with other privileges or another flag."""
    privs = ",".join(one.privileges)
    api.send(request("PUT", "access", "roles", f"Own{number}", privs=privs))
    who = {"users": "automation@pve", "tokens": ACTOR, "roles": f"Own{number}"}
    gone = not one.privileges
    entry = request("PUT", "access", "acl", path=one.path, propagate=one.propagate, **who)
    api.send(entry._replace(params=(*entry.params, ("delete", "1"))) if gone else entry)


def without_one(one: NeededGrant) -> Iterator[tuple[list[str], NeededGrant]]:
    """Every way of leaving a part out, with the words one of which must then be said."""
    for privilege in one.privileges:
        less = tuple(name for name in one.privileges if name != privilege)
        yield [f"{privilege} on {one.path}"], one._replace(privileges=less)
    if one.propagate:
        words = [f"{name} on {one.path}" for name in one.privileges]
        yield words, one._replace(propagate=False)


def said(folder: Path, desired: Desired) -> str:
    """What a plan says before anything is sent."""
    api = SandboxApi(folder, ACTOR, read_only=True)
    try:
        live = read_cluster(api, desired)
    except Blind as blind:
        return blind.summary
    plan = build_plan(desired, live.state, live.facts, PlanRequest("c", ACTOR, NOW)).plan
    return "\n".join(
        finding.message for finding in plan.findings if finding.code == "MISSING_PRIVILEGE"
    )


def test_whatever_is_left_out_is_named_before_anything_is_sent(worlds: Path) -> None:
    fresh = worlds / "pve"
    desired = declared(worlds / "state", text(2))
    needs = (*planning_needs(kinds_to_read(desired)), *applying_needs(desired))
    grants = bootstrap(needs, ACTOR, APPLY, vanishing(desired)).grants
    settings = f'[target]\nendpoint = "sandbox:{worlds / "made"}"\n'
    (worlds / "state" / "pvectl.toml").write_text(settings)
    made = Path(shutil.copytree(fresh, worlds / "made"))
    assert ask("apply", "--yes", state=worlds / "state").status == ExitStatus.OK
    changed = declared(worlds / "changed", text(3))
    going = declared(worlds / "going", GOING)
    plans = ((fresh, desired), (made, changed), (made, going))
    for folder in (fresh, made):
        grant(SandboxApi(folder), grants)
    for folder, wanted in plans:
        assert said(folder, wanted) == ""
    left_out = [(n, one, *rest) for n, one in enumerate(grants) for rest in without_one(one)]
    assert len(left_out) > 25
    for number, one, words, less in left_out:
        heard = []
        for folder in (fresh, made):
            regrant(SandboxApi(folder), number, less)
            heard += [said(folder, wanted) for there, wanted in plans if there is folder]
            regrant(SandboxApi(folder), number, one)
            if any(word in text for word in words for text in heard):
                break
        else:
            pytest.fail(f"{words} is not in {heard}")


def test_the_preflight_says_the_lines_that_give_what_is_missing(worlds: Path) -> None:
    """After these lines, and no others, the plan is ready to be applied."""
    state, folder = worlds / "state", worlds / "pve"
    desired = declared(state, text(2))
    needs = (*planning_needs(kinds_to_read(desired)), *applying_needs(desired))
    grants = tuple(
        one._replace(
            privileges=tuple(
                name
                for name in one.privileges
                if name not in {"Sys.Modify", "User.Modify", "Permissions.Modify"}
            )
        )
        for one in bootstrap(needs, ACTOR, APPLY, vanishing(desired)).grants
    )
    grant(SandboxApi(folder), grants)
    planned = ask("plan", state=state)
    assert planned.status == ExitStatus.REFUSED, planned
    assert "MISSING_PRIVILEGE" in planned.out
    lines = run_lines(SandboxApi(folder), planned.out)
    assert lines
    assert not any("Administrator" in line for line in lines)
    ready = ask("plan", "--detailed-exitcode", state=state)
    assert ready.status == ExitStatus.CHANGES, ready


def test_roles_that_would_be_deleted_again_are_pointed_out(worlds: Path) -> None:
    settings = '[manage]\nrole = "authoritative"\n'
    (worlds / "state" / "pvectl.toml").write_text(settings)
    told = ask("bootstrap", state=worlds / "state")
    assert 'add exclude = ["AutomationApply*", "AutomationPlan*"]' in " ".join(told.out.split())


@pytest.mark.parametrize("token", ["automation", "automation@pve!x", "a b@pve!token"])
def test_a_name_that_is_not_a_token_is_refused(worlds: Path, token: str) -> None:
    assert ask("bootstrap", "--token", token, state=worlds / "state").status == ExitStatus.USAGE
