"""Every `pveum` line that an answer prints is whole: run on the cluster, it does what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.errors import ExitStatus, RequestRefused
from reconciler.model.request import Request, request
from reconciler.sandbox.http.direct import SandboxApi
from tests.cli.in_process import ask, ask_json
from tests.support.command import copy_fixture
from tests.support.pveum import run_lines

TF_PROD, TF_CI = "svc-terraform@pve!tf-prod", "svc-terraform@pve!tf-ci"

QUESTIONS = [
    ("alice@pve", "/", "Sys.Audit"),
    ("alice@pve", "/vms/9001", "VM.Audit"),
    ("alice@ldap", "/vms/9001", "VM.Backup"),
    ("alice@ldap", "/storage/local", "Datastore.AllocateTemplate"),
    ("mallory@ldap", "/nodes", "Sys.Syslog"),
    ("mallory@ldap", "/pool/Dev", "Sys.Audit"),
    (TF_PROD, "/vms/9001", "VM.Backup"),
    (TF_PROD, "/pool/Prod", "VM.Allocate"),
    (TF_CI, "/vms/9000", "Sys.Audit"),
    (TF_CI, "/storage/local", "Datastore.AllocateSpace"),
    ("root@pam!sep", "/vms/9000", "VM.Audit"),
]


def _team(folder: Path) -> Path:
    pve = copy_fixture("team", folder)
    cfg = pve / "user.cfg"
    cfg.write_text(cfg.read_text() + "token:root@pam!sep:0:1::\n")
    return pve


@pytest.mark.parametrize(("who", "path", "privilege"), QUESTIONS)
def test_every_way_that_explain_names_leads_there(
    tmp_path: Path, who: str, path: str, privilege: str
) -> None:
    asked = ("explain", who, path, privilege)
    pve = _team(tmp_path / "pve")
    ways = ask_json(*asked, on=pve)["remedies"]
    assert ways
    for number, way in enumerate(ways):
        copy = _team(tmp_path / str(number))
        before = set(ask_json("explain", who, path, on=copy)["held"])
        run_lines(SandboxApi(copy), "\n".join(way["pveum"]))
        assert ask_json(*asked, on=copy)["allowed"] is True, way
        held = set(ask_json("explain", who, path, on=copy)["held"])
        assert held - before == {privilege, *way["extra"]}


CALLS = [
    (TF_CI, "POST", "/nodes/{node}/vzdump", {"vmid": "9000,9001", "storage": "local"}),
    (TF_PROD, "POST", "/nodes/{node}/lxc/9001/snapshot", {"snapname": "s1"}),
    ("alice@pve", "PUT", "/nodes/{node}/lxc/9001/config", {"memory": "256"}),
    ("alice@ldap", "GET", "/nodes/{node}/lxc/9001/config", {}),
    ("alice@pve", "PUT", "/pools/Dev", {"comment": "new"}),
    ("mallory@ldap", "POST", "/access/users", {"userid": "new@pve"}),
    (TF_CI, "GET", "/cluster/backup", {}),
    ("alice@pve", "POST", "/cluster/backup", {"schedule": "03:00", "pool": "Dev", "id": "job1"}),
    (TF_CI, "POST", "/access/users/alice@pve/token/t1", {}),
]


@pytest.mark.parametrize(("who", "method", "path", "params"), CALLS)
def test_a_call_is_refused_before_and_answered_after_the_commands(
    tmp_path: Path, who: str, method: str, path: str, params: dict[str, str]
) -> None:
    pve = _team(tmp_path / "pve")
    cfg = pve / "user.cfg"
    cfg.write_text(cfg.read_text().replace(":1:1893456000:::contractor", ":1:0:::contractor"))
    (node,) = (folder.name for folder in (pve / "nodes").iterdir())
    place = path.format(node=node)
    given = [f"{name}={value}" for name, value in params.items()]
    asked = ("explain", " ".join((method, place, *given)), "--who", who)
    target = Request(method, tuple(place[1:].split("/")), tuple(params.items()))
    before = ask_json(*asked, on=pve)
    if before["allowed"] is False:
        assert "403" in _answer(pve, who, target)
        assert run_lines(SandboxApi(pve), "\n".join(before["pveum"]))
    assert ask_json(*asked, on=pve)["allowed"] is True, before
    assert _answer(pve, who, target) == ""


def _answer(pve: Path, who: str, target: Request) -> str:
    """The refusal of a call, or of the task that it starts; "" where it is done."""
    api = SandboxApi(pve, who)
    try:
        data = api.get([target])[0] if target.method == "GET" else api.send(target)
    except RequestRefused as refused:
        return str(refused.status)
    if not str(data).startswith("UPID:"):
        return ""
    node = str(data).split(":")[1]
    task = SandboxApi(pve).get([request("GET", "nodes", node, "tasks", str(data), "status")])[0]
    return "" if task["exitstatus"] == "OK" else str(task["exitstatus"])


def test_the_commands_of_failed_expectations_fulfil_all_of_them_together(tmp_path: Path) -> None:
    """In the order in which they are printed, each role is made once, and each path is named."""
    pve, state = _team(tmp_path / "pve"), tmp_path / "state"
    state.mkdir()
    (state / "a.toml").write_text(
        f"""
[[expect]]
who = ["{TF_PROD}", "{TF_CI}"]
path = ["/pool/Prod", "/vms/9001", "/storage/local"]
can = ["VM.Backup", "Datastore.Audit"]
[[expect]]
who = "alice@pve"
path = ["/vms/9001", "/vms/9000"]
can = ["VM.Audit", "VM.Snapshot", "VM.Backup"]
[[expect]]
who = "late@pve"
path = "/"
can = ["Sys.Audit"]
"""
    )
    cfg = pve / "user.cfg"
    cfg.write_text("user:late@pve:0:86400::::::\n" + cfg.read_text())
    for _ in range(4):  # one of them is to be enabled first, then to have no expiry
        planned = ask("plan", on=pve, state=state)
        if planned.status == ExitStatus.OK:
            break
        assert run_lines(SandboxApi(pve), planned.out), planned.out
    assert planned.status == ExitStatus.OK, planned.out


@pytest.mark.parametrize("who", [TF_CI, "root@pam!sep"])
@pytest.mark.parametrize("denied", ["", "/access/realm"])
def test_the_commands_for_whoever_cannot_read_are_enough(
    tmp_path: Path, who: str, denied: str
) -> None:
    pve, state = _team(tmp_path / "pve"), tmp_path / "state"
    state.mkdir()
    if denied:
        cfg = pve / "user.cfg"
        cfg.write_text(cfg.read_text() + f"acl:1:{denied}:{who}:NoAccess:\n")
    (state / "a.toml").write_text('[group.DevOps]\ncomment = "new"\n')
    settings = f'[target]\nendpoint = "sandbox:{pve}"\ntoken_id = "{who}"\n'
    (state / "pvectl.toml").write_text(settings)
    for _ in range(4):  # a token that sees nothing does not see what would cut it off, either
        blind = ask("plan", state=state)
        if blind.status != ExitStatus.BLIND:
            break
        assert run_lines(SandboxApi(pve), blind.err), blind
    assert blind.status == ExitStatus.OK, blind
