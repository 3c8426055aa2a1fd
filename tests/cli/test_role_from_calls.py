"""The smallest role for calls: granted as printed, each call is answered, and one less is not."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus, RequestRefused
from reconciler.model.request import request
from reconciler.sandbox.http.direct import SandboxApi
from tests.cli.in_process import ask
from tests.support.command import copy_fixture
from tests.support.pveum import run_lines

CALLS = """
# what the tool does
GET /nodes/demo-felhom/lxc/9001/status/current
POST /nodes/demo-felhom/vzdump vmid=9001 storage=local
POST /nodes/demo-felhom/lxc/9001/snapshot snapname=s1
"""
LOG = """\
::1 - ci@pve!t [29/11/2026:10:00:01 +0] "GET /api2/json/nodes/n/lxc/9001/pending HTTP/1.1" 200 1
::1 - ci@pve!t [29/11/2026:10:00:02 +0] "GET /api2/json/cluster/status HTTP/1.1" 403 13
::1 - ci@pve!t [29/11/2026:10:00:03 +0] "GET /api2/json/strange/thing HTTP/1.1" 200 13
::1 - root@pam [29/11/2026:10:00:04 +0] "GET /pve2/css/ext6-pve.css HTTP/1.1" 200 13
"""


def _granted(text: str) -> dict[str, list[str]]:
    """Path -> privileges, from what is printed."""
    roles = tomllib.loads(text).get("role", {})
    told = re.findall(r"^# grant (\S+) on: (.+)$", text, re.M)
    return {path: roles[name]["privileges"] for name, on in told for path in on.split(", ")}


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    path = tmp_path / "calls.txt"
    path.write_text(CALLS)
    return path


def _answered(pve: Path, granted: dict[str, list[str]]) -> list[bool]:
    """Whether each of the calls goes through for a user with these grants."""
    lines = ["pveum user add tool@pve"]
    for number, (path, names) in enumerate(granted.items()):
        lines.append(f"pveum role add R{number} --privs '{' '.join(names)}'")
        lines.append(f"pveum acl modify {path} --roles R{number} --users tool@pve")
    run_lines(SandboxApi(pve), "\n".join(lines))
    api, root, node = SandboxApi(pve, "tool@pve"), SandboxApi(pve), "demo-felhom"
    found = []
    for asked in (
        request("GET", "nodes", node, "lxc", "9001", "status", "current"),
        request("POST", "nodes", node, "vzdump", vmid="9001", storage="local"),
        request("POST", "nodes", node, "lxc", "9001", "snapshot", snapname="s1"),
    ):
        try:
            data = api.get([asked])[0] if asked.method == "GET" else api.send(asked)
        except RequestRefused:
            found.append(False)
            continue
        status = {"exitstatus": "OK"}
        if str(data).startswith("UPID:"):
            status = root.get([request("GET", "nodes", node, "tasks", str(data), "status")])[0]
        found.append("403" not in status["exitstatus"])
    return found


def test_what_is_printed_is_enough_and_nothing_of_it_is_too_much(
    calls: Path, tmp_path: Path
) -> None:
    printed = ask("role", "from-calls", calls, "--name", "Tool")
    assert printed.status == ExitStatus.OK, printed
    granted = _granted(printed.out)
    assert set(granted) == {"/vms/9001", "/storage/local"}
    assert all(_answered(copy_fixture("team", tmp_path / "pve"), granted))
    number = 0
    for path, names in granted.items():
        for name in names:
            number += 1
            less = {**granted, path: [one for one in names if one != name]}
            less = {place: held for place, held in less.items() if held}
            assert not all(_answered(copy_fixture("team", tmp_path / f"pve{number}"), less)), name
    assert number >= 4


def test_an_access_log_counts_what_was_answered(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text(LOG)
    ended = ask("role", "from-calls", log)
    assert ended.status == ExitStatus.OK, ended
    assert _granted(ended.out) == {"/vms/9001": ["VM.Audit"]}
    assert "unknown permission checks: GET /strange/thing (1 times)" in ended.err
    assert ask("role", "from-calls", log, "--who", "eve@pve").status == ExitStatus.USAGE


def test_what_an_existing_role_has_too_much(calls: Path, tmp_path: Path) -> None:
    pve = copy_fixture("team", tmp_path / "pve")
    ended = ask("role", "from-calls", calls, "--compare", "VMOperatorCustom", on=pve)
    assert (
        "# VMOperatorCustom has privileges that no call needs: VM.Console, VM.PowerMgmt"
        in ended.out
    )
    assert "# VMOperatorCustom lacks: Datastore.AllocateSpace, VM.Backup" in ended.out
    wrong = ask("role", "from-calls", calls, "--compare", "VMOperator", on=pve)
    assert wrong.status == ExitStatus.USAGE
    assert "did you mean VMOperatorCustom?" in wrong.err


def test_every_line_that_is_not_a_call_is_named(tmp_path: Path) -> None:
    path = tmp_path / "calls.txt"
    path.write_text("hello\nGET /strange/thing\n")
    ended = ask("role", "from-calls", path)
    assert ended.status == ExitStatus.USAGE
    assert "line 1: " in ended.err
    assert "line 2: " in ended.err
    assert ask("role", "from-calls", tmp_path / "none").status == ExitStatus.USAGE
    path.write_text("garbage\n" * 400)
    ended = ask("role", "from-calls", path)
    assert "400 invalid lines" in ended.err
    assert len(ended.err) < 1000
    path.write_text("\n# nothing\n")
    ended = ask("role", "from-calls", path)
    assert (ended.status, "contains no calls" in ended.err) == (ExitStatus.USAGE, True)
    assert ask("role", "form-calls", path).status == ExitStatus.USAGE
