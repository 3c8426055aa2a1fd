"""Expectations of calls: foreseen by plans, made by `verify` as the token, without any harm."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from reconciler.sandbox.http.direct import SandboxApi
from tests.cli.in_process import ask, ask_json
from tests.cli.site import Site
from tests.support.command import copy_fixture
from tests.support.pveum import run_lines

TOKEN = "felhom-ctl@pve!ctl"
STATE = Path(__file__).parents[2] / "state"
CALL = """
[[expect]]
who = "felhom-ctl@pve!ctl"
call = "{}"
{}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The cluster in which the guest's controller has its token, and a state folder."""
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    state = tmp_path / "state"
    state.mkdir()
    return copy_fixture("self-backup", tmp_path / "pve"), state


def _alone(place: tuple[Path, Path], text: str) -> Path:
    pve, state = place
    (state / "calls.toml").write_text(text)
    settings = f'[target]\nendpoint = "sandbox:{pve}"\ntoken_id = "{TOKEN}"\n'
    (state / "pvectl.toml").write_text(settings)
    return state


def test_the_seven_calls_from_inside_the_guest(site: Site) -> None:
    """Over HTTPS, as the token alone: it may read nothing of the access configuration."""
    for name in ("self-backup.toml", "calls.toml", "backup.toml"):
        shutil.copy(STATE / name, site.state / name)
    assert site.run("apply", "--yes").status == ExitStatus.OK
    secret = (site.state / "secrets" / "felhom-ctl").read_text().strip()
    site.target(TOKEN, secret)
    site.env["PVECTL_TOKEN_SECRET"] = secret
    done = site.run("verify")
    assert done.status == ExitStatus.OK, done
    assert f"by {TOKEN} about itself alone" in " ".join(done.out.split())
    found = json.loads(site.run("verify", "--format", "json").out)
    assert [(one["ok"], one["sent"]) for one in found["calls"]] == [(True, True)] * 7
    assert (
        found["calls"][5]["said"] == "200, task: 403 Permission check failed (/vms/9000, VM.Backup)"
    )
    assert found["calls"][6]["said"] == "200, task: OK"


def test_what_would_succeed_is_not_sent(place: tuple[Path, Path]) -> None:
    """Wrongly declared as refused, a call that the token may make is never tried."""
    snapshot = CALL.format(
        "POST /nodes/localhost/lxc/9001/snapshot", 'params = { snapname = "s1" }\nstatus = 403'
    )
    guest = next((place[0] / "nodes").rglob("9001.conf"))
    before = guest.read_text()
    found = ask_json("verify", state=_alone(place, snapshot))
    (call,) = found["calls"]
    assert (call["ok"], call["sent"]) == (False, False)
    assert call["said"] == "it is not refused: nothing is missing"
    assert ask("verify", state=place[1]).status == ExitStatus.REFUSED
    ask_json("verify", state=_alone(place, snapshot.replace("status = 403", "")))
    assert guest.read_text() == before
    _alone(place, snapshot.replace("status = 403", "harmless = true"))
    assert ask("verify", state=place[1]).status == ExitStatus.OK
    assert "s1" in guest.read_text()


def test_an_unknown_call_that_writes_is_not_sent(place: tuple[Path, Path]) -> None:
    state = _alone(place, CALL.format("DELETE /nodes/localhost/everything", "status = 501"))
    (call,) = ask_json("verify", state=state)["calls"]
    assert (call["ok"], call["sent"]) == (False, False)
    _alone(place, CALL.format("GET /no/such/path", "status = 501"))
    assert ask("verify", state=state).status == ExitStatus.OK


VZDUMP = "POST /nodes/localhost/vzdump"


@pytest.mark.parametrize("vmid", ["9001 9001", "9001,9000", "9001;9000", "9000\\t9001"])
def test_what_a_task_might_do_before_it_is_refused_is_not_sent(
    vmid: str, place: tuple[Path, Path]
) -> None:
    """Proxmox VE reads a list; one of its guests may be backed up."""
    given = f'params = {{ vmid = "{vmid}", storage = "local" }}\ntask = "403"'
    (call,) = ask_json("verify", state=_alone(place, CALL.format(VZDUMP, given)))["calls"]
    assert call["sent"] is False, call
    assert not list(place[0].parent.rglob("vzdump-*9001*log"))


def test_the_right_on_a_group_of_the_user_is_not_forgotten(place: tuple[Path, Path]) -> None:
    """The token may change members of ops; which groups a user has, it may not ask."""
    config = place[0] / "user.cfg"
    config.write_text(
        config.read_text()
        + "user:bob@pve:1:0::::::\ngroup:ops:bob@pve::\nrole:Changes:User.Modify:\n"
        + "acl:1:/access/groups/ops:felhom-ctl@pve,felhom-ctl@pve!ctl:Changes:\n"
    )
    call = CALL.format("PUT /access/users/bob@pve", "params = { enable = 0 }\nstatus = 403")
    (made,) = ask_json("verify", state=_alone(place, call))["calls"]
    assert made["sent"] is False, made
    assert "user:bob@pve:1:" in config.read_text()


def test_a_call_that_may_succeed_is_reported_and_may_be_forbidden(
    place: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = "POST /nodes/localhost/lxc/9001/snapshot"
    state = _alone(place, CALL.format(call, 'params = { snapname = "s1" }\nharmless = true'))
    guest = next((place[0] / "nodes").rglob("9001.conf"))
    before = guest.read_text()
    for words in (("--no-probe",), ("--settings", tmp_path / "settings.toml")):
        (tmp_path / "settings.toml").write_text(f'[trust]\nfiles = ["{place[0]}"]\n')
        done = ask("verify", *words, state=state)
        assert done.status == ExitStatus.OK, done
        assert "not tried" in done.out
        assert guest.read_text() == before
    assert '[trust] calls = ["POST /nodes/localhost/lxc/9001/snapshot"]' in " ".join(
        done.out.split()
    )
    monkeypatch.setenv("CI", "true")
    with (tmp_path / "settings.toml").open("a") as file:
        file.write('calls = ["POST /nodes/*/snapshot"]\n')
    done = ask("verify", *words, state=state)
    assert done.status == ExitStatus.OK, done
    assert f"making a call as {TOKEN} that may change something: {call} snapname=s1" in done.err
    assert "s1" in guest.read_text()


def test_a_token_without_expectations_is_told_what_it_lacks(place: tuple[Path, Path]) -> None:
    state = _alone(place, CALL.format("GET /version", "").replace(TOKEN, "root@pam"))
    assert ask("verify", state=state).status == ExitStatus.BLIND


def test_plans_foresee_calls_and_their_commands_help(place: tuple[Path, Path]) -> None:
    pve, state = place
    (state / "a.toml").write_text(
        CALL.format("POST /nodes/pve/vzdump", 'params = { vmid = 9000, storage = "local" }')
        + CALL.format("PUT /nodes/pve/qemu/9000/config", "params = { memory = 512 }")
        + CALL.format("GET /nodes/pve/lxc/9001/config", "status = 403")
    )
    refused = ask("plan", on=pve, state=state)
    assert refused.status == ExitStatus.REFUSED
    words = " ".join(refused.out.split())
    assert "its task fails with 403: VM.Backup on /vms/9000 is missing" in words
    assert "GET /nodes/pve/lxc/9001/config: it is not refused: nothing is missing" in words
    assert run_lines(SandboxApi(pve), refused.out)
    again = ask_json("plan", on=pve, state=state)
    left = [one["message"] for one in again["findings"] if one["code"] == "EXPECT"]
    assert len(left) == 1
    assert "not refused" in left[0]


def test_nobody_holds_two_privileges_together(tmp_path: Path) -> None:
    """As user, by a token, or one by each: that is one person."""
    pve, state = copy_fixture("team", tmp_path / "pve"), tmp_path / "state"
    state.mkdir()
    text = '[[expect]]\nwho = "*"\npaths = ["/vms/*", "/storage/*"]\ncannot_both = {}\n'
    (state / "a.toml").write_text(text.format('["VM.Backup", "Datastore.AllocateSpace"]'))
    for command in ("plan", "verify", "drift"):
        done = ask(command, on=pve, state=state)
        assert done.status == ExitStatus.REFUSED, done
        words = " ".join(done.out.split())
        assert "alice@ldap" in words
        assert "VM.Backup and Datastore.AllocateSpace" in words
        assert "svc-terraform@pve can" not in words
        assert "'VM.Backup and" not in words
    (state / "a.toml").write_text(text.format('["VM.Backup", "Permissions.Modify"]'))
    assert ask("verify", on=pve, state=state).status == ExitStatus.OK


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('call = "GET version"', "call is not a method and a path"),
        ('call = "GET /version"\ncan = ["VM.Audit"]', "can cannot be combined with a call"),
        ('path = "/"\nstatus = 403', "status needs a call"),
        ('path = "/"\ncannot_both = ["VM.Audit"]', "names one privilege"),
        ('path = "/"\ncannot_both = ["VM.Audit", "VM.Audit"]', "names one privilege"),
    ],
)
def test_mistakes_are_reported(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.toml").write_text(f'[[expect]]\nwho = "*"\n{text}\n')
    told = ask("validate", state=tmp_path)
    assert told.status == ExitStatus.FILES_INVALID
    assert said in told.out + told.err


@pytest.mark.parametrize("name", ["password", "client-key", "encryption_key", "cipassword"])
def test_no_secret_belongs_into_an_expected_call(name: str, place: tuple[Path, Path]) -> None:
    """It would stand in the file, in the output of `verify` and in its JUnit report."""
    state = _alone(place, CALL.format("POST /access/users", f'params = {{ {name} = "c4n4ry" }}'))
    for words in (("validate",), ("plan",), ("verify",), ("verify", "--format", "junit")):
        ended = ask(*words, state=state)
        assert ended.status == ExitStatus.FILES_INVALID, ended
        assert f"{name} is a secret" in ended.out + ended.err
        assert "c4n4ry" not in ended.out + ended.err


@pytest.mark.parametrize("format_", ["text", "markdown", "json"])
def test_a_pasted_call_is_explained_without_its_secrets(
    format_: str, place: tuple[Path, Path]
) -> None:
    call = "POST /access/users userid=a@pve password=c4n4ry"
    told = ask("explain", call, "--who", "root@pam", "--format", format_, on=place[0])
    assert told.status == ExitStatus.OK, told
    assert "c4n4ry" not in told.out + told.err


def test_what_must_stay_refused_in_the_task_is_not_offered(place: tuple[Path, Path]) -> None:
    """Half a pair is gone, so the call fails already; the advice must not open the other guest."""
    pve, state = place
    config = pve / "user.cfg"
    pair = ":felhom-ctl@pve,felhom-ctl@pve!ctl:"
    assert pair in config.read_text()
    config.write_text(config.read_text().replace(pair, ":felhom-ctl@pve!ctl:"))
    call = CALL.format(
        "POST /nodes/localhost/vzdump",
        'params = { vmid = 9000, storage = "local" }\ntask = "403 Permission check failed"',
    )
    (state / "calls.toml").write_text(call)
    told = ask("plan", on=pve, state=state).out
    assert "pveum acl modify /storage/local" in told, told
    assert "VM.Backup" not in told
    assert "/vms/9000" not in told
