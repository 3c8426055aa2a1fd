"""Every finding says where in the files it comes from, in each format, if it has a place there."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.cli.in_process import ask
from tests.support.command import FIXTURES, copy_fixture

STATE = """
[role.Wide]
privileges = ["VM.Audit", "VM.Allocate", "Permissions.Modify"]

[role.Limited]
privileges = ["VM.Audit"]
allowed_paths = ["/pool/*"]

[group.empty]

[group.DevOps]

[group.VM-Auditors]

[user."ghost@pve"]
password = { env = "NOT_SET_ANYWHERE" }

[user."root@pam".token.own]
expires = 2026-12-05

[user."alice@pve"]
groups = ["empty"]

[user."alice@pve".token.aa]
privsep = false

[user."gone@pve"]

[user."gone@pve".token.tt]

[user."left@ldap"]

[user."last@pve"]
expires = 2026-12-05

[[acl]]
roles = ["Administrator"]
paths = ["/"]
users = ["alice@pve"]

[[acl]]
roles = ["Wide"]
paths = ["/access", "/vms/9000", "/vms/9001", "/vms/9002", "/nodes/pve9", "/pool/empty",
         "/storage/none"]
groups = ["empty"]

[[acl]]
roles = ["Limited"]
paths = ["/vms"]
groups = ["DevOps"]

[[acl]]
roles = ["NoAccess"]
paths = ["/vms/9003"]
users = ["last@pve"]

[[acl]]
roles = ["PVEVMUser"]
paths = ["/pool/Prod"]
tokens = ["alice@pve!aa"]
expires = 2020-01-01

[[acl]]
roles = ["PVEVMUser"]
paths = ["/pool/nopool"]
users = ["last@pve"]

[pool.empty]

[pool.Dev]
guests = []

[pool.more]
guests = [9001, 777]

[storage.nas]
type = "dir"
path = "/mnt/nas"
content = ["backup"]
nodes = ["pve8"]

[storage.off]
type = "dir"
path = "/mnt/off"
content = ["images"]
disable = true

[backup.x]
schedule = "24:00"
all = true
storage = "off"
node = "pve8"

[backup.later]
schedule = "*-02-30"
guests = [12345]

[backup.felhom-nightly]
schedule = "02:30"
guests = [9001]
storage = "local"
keep = { daily = 1 }

[[removed]]
address = "user.mallory@ldap"

[[removed]]
address = "token.svc-terraform@pve!tf-prod"

[[removed]]
address = "storage.local-lvm"

[[expect]]
who = "alice@pve"
path = "/"
cannot = ["Sys.Modify"]

[[expect]]
who = "*@nowhere"
path = "/vmz/*"
can = ["VM.Audit"]

[[expect]]
who = "last@pve"
path = "/vms/9000"
can = ["VM.Audit"]

[[rule]]
name = "idle"
who = ["nobody-*"]
allowed_roles = ["PVEVMUser"]
reason = "x"

[[rule]]
name = "strict"
allowed_roles = ["PVEVMUser"]
reason = "x"

[[waive]]
code = "NO_SUCH"
reason = "x"
expires = 2030-01-01

[[waive]]
code = "LINT_PRIVSEP_OFF"
reason = "x"
expires = 2020-01-01

[[waive]]
code = "LINT_TWO_REALMS"
reason = "x"
expires = 2030-01-01

[[no_backup]]
guests = [4242]
reason = "x"
"""
SETTINGS = """
[lockout]
break_glass = ["nobody@pve"]
administrators = 9
[limits]
delete = 0
[protected]
never_change = ["pool.Dev"]
"""
ACCOUNTS = """
user:gone@pve:0:0::::::
token:gone@pve!tt:0:0::
"""

NOWHERE = {
    "NEVER_SAVED",  # of guests
    "NOT_BACKED_UP",
    "REACHES_MORE",  # of accounts that no file declares
    "UNUSED_ALLOW",  # of the command line
}
"""Codes of findings, as the files below give them, that are about nothing in the files."""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cluster, and files in which nearly everything is wrong that a plan can show."""
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    pve = copy_fixture("team", tmp_path / "pve")
    shutil.copy(FIXTURES / "backups/jobs.cfg", pve / "jobs.cfg")
    users = (pve / "user.cfg").read_text() + ACCOUNTS
    there = users.replace("group:VM-Auditors:", "group:VM-Auditors:ghost@pve,mallory@ldap")
    (pve / "user.cfg").write_text(there)
    (tmp_path / "state").mkdir()
    (tmp_path / "state/a.toml").write_text(STATE)
    (tmp_path / "state/pvectl.toml").write_text(SETTINGS)
    return tmp_path


def test_a_finding_has_its_place_in_text_json_and_sarif(world: Path) -> None:
    codes: set[str] = set()
    for command, *options in (["validate"], ["plan", "--allow", "X=1", "--known"], ["drift"]):
        files = ("--format", "json=f.json", "--format", "sarif=f.sarif", "--format", "text")
        on = None if command == "validate" else world / "pve"
        told = ask(command, *options, *files, on=on, state=Path("state")).out
        found = json.loads((world / "f.json").read_text())["findings"]
        results = json.loads((world / "f.sarif").read_text())["runs"][0]["results"]
        placed, wanted = Counter[tuple[str, int]](), Counter[tuple[str, int]]()
        for one in found:
            codes.add(one["code"])
            source = one.get("source", {"file": "pvectl.toml", "line": 0})
            assert source["line"] or one["code"] in NOWHERE, one
            wanted[one["code"], source["line"]] += 1
            place = f"{source['file']}:{source['line']}:"
            if source["line"] and not (one.get("known") and command == "drift"):
                said = (f"{one['code']}  {place}", f"{place}{source['column']}: {one['severity']} ")
                assert said[0] in told or said[1] + one["code"] in told, (one, told)
        for result in results:
            region = result["locations"][0]["physicalLocation"].get("region", {})
            placed[result["ruleId"], region.get("startLine", 0)] += 1
        assert wanted == Counter({at: n for at, n in placed.items() if at[0] != "DRIFT"}), command
        assert bool(placed - wanted) == (command == "drift")
    assert codes >= NOWHERE
    assert len(codes) > 50, sorted(codes)
    drifted = {
        one["locations"][0]["logicalLocations"][0]["fullyQualifiedName"]: region
        for one in results
        if one["ruleId"] == "DRIFT" and "logicalLocations" in one["locations"][0]
        if (region := one["locations"][0]["physicalLocation"].get("region"))
    }
    assert drifted["user.last@pve"]["startLine"] == line('[user."last@pve"]')
    assert drifted["pool.Dev"]["startLine"] == line("[pool.Dev]")
    assert drifted["user.mallory@ldap"]["startLine"] == line("[[removed]]")


def line(text: str) -> int:
    return STATE.splitlines().index(text) + 1
