"""The story of the demo told by the tool: half a pair, what it would do, and the cluster's word."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reconciler.access.contents import USER, Principal
from reconciler.access.expectations.check import expectation_subjects
from reconciler.access.expectations.verify import Checkpoint, checkpoints, disagreements, verdict
from reconciler.access.table import AccessTable
from reconciler.errors import ExitStatus
from reconciler.model.declared import Expectation
from reconciler.model.finding import Source
from reconciler.model.request import Request
from reconciler.render import FORMATS
from reconciler.render.documents.verification import Verification
from reconciler.render.view import View
from reconciler.sandbox.http.direct import SandboxApi
from tests.cli.in_process import ask, ask_json
from tests.cli.site import Site
from tests.support.command import FIXTURES, copy_fixture
from tests.support.engine import Passing
from tests.support.pveum import run_lines

TOKEN = "felhom-ctl@pve!ctl"
STATE = Path(__file__).parents[2] / "state"
TEAM_STATE = Path(__file__).parents[2] / "examples" / "team-access"
BACKUP = ("explain", TOKEN, "/vms/9001", "VM.Backup")


@pytest.fixture
def demo(site: Site) -> Site:
    """The state that comes with pvectl, on a cluster just installed."""
    for file in STATE.glob("*.toml"):
        if file.name != "pvectl.toml":
            shutil.copy(file, site.state / file.name)
    return site


def test_the_story_of_the_pair(demo: Site) -> None:
    half = (demo.state / "self-backup.toml").read_text()
    whole = half
    half = half.replace('reason = "guest 9001', 'pair = false\nreason = "guest 9001')
    assert half != whole
    demo.write("self-backup.toml", half)

    planned = demo.run("plan")
    assert planned.status == ExitStatus.REFUSED, planned
    words = " ".join(planned.out.split())
    assert "the token will have no access: its user holds none of the privileges that" in words
    assert f"expectation: {TOKEN} cannot VM.Backup on /vms/9001, but should be able to" in words
    told = demo.run(*BACKUP, "--planned")
    assert told.out.startswith(f"No: {TOKEN} does not have VM.Backup on /vms/9001.\n")
    assert "the token itself has it, but its user felhom-ctl@pve does not" in (
        " ".join(told.out.split())
    )
    assert demo.untouched

    demo.write("self-backup.toml", whole)
    early = demo.run(*BACKUP)
    assert early.status == ExitStatus.USAGE
    assert f"there is no user or token '{TOKEN}'" in early.err
    ready = demo.run("plan", "--detailed-exitcode")
    assert ready.status == ExitStatus.CHANGES, ready
    assert "will have no access" not in ready.out
    assert demo.run("apply", "--yes").status == ExitStatus.OK
    told = demo.run(*BACKUP)
    assert told.out.startswith(f"Yes: {TOKEN} has VM.Backup on /vms/9001.\n")

    verified = demo.run("verify")
    assert verified.status == ExitStatus.OK, verified
    assert verified.out.startswith("Verified: 32 checks hold.\n")
    assert f"tried as  {TOKEN}" in verified.out
    assert "can VM.Audit, VM.Backup, VM.Snapshot  (asked and tried)" in verified.out

    entry = "acl:1:/vms/9001:felhom-ctl@pve,felhom-ctl@pve!ctl:FelhomSelfBackup:\n"
    demo.edit("user.cfg", entry, entry.replace("felhom-ctl@pve,", ""))
    broken = demo.run("verify", "--format", "junit=verify.xml", "--format", "text")
    assert broken.status == ExitStatus.REFUSED
    assert broken.out.startswith("Not verified: 8 failures in 32 checks.\n")
    assert f"pvectl explain '{TOKEN}' /vms/9001 VM.Audit" in broken.out
    suite = ET.parse(demo.folder / "verify.xml").getroot()[0]  # noqa: S314 - our own file
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert suite.get("failures") == str(len(failed)) == "8"
    assert suite.get("tests") == "32"
    assert f"as {TOKEN}: {TOKEN} on /vms/9001: can VM.Snapshot" in failed
    assert {case.get("file") for case in suite if case.get("line")} == {
        "state/calls.toml",
        "state/self-backup.toml",
    }

    told = demo.run(*BACKUP)
    grant = told.out.partition("The same in a shell on a node\n")[2].partition("\n\n")[0]
    secret = (demo.state / "secrets" / "felhom-ctl").read_text().strip()
    for ended in (planned, told, verified, broken):
        assert secret not in ended.out + ended.err
    assert len(run_lines(SandboxApi(demo.cluster.folder), grant)) == 1
    assert demo.run(*BACKUP).out.startswith("Yes: ")


def test_a_secret_that_the_cluster_no_longer_takes_is_a_failure(
    demo: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in demo.env.items():
        monkeypatch.setenv(name, value)
    assert ask("apply", "--yes", state=demo.state).status == ExitStatus.OK
    secret = demo.state / "secrets" / "felhom-ctl"
    kept = secret.read_text().strip()
    secret.write_text("00000000-0000-4000-8000-000000000000\n")
    refused = ask("verify", state=demo.state)
    assert refused.status == ExitStatus.REFUSED
    assert f"{TOKEN} cannot be tried" in refused.out
    secret.unlink()
    untried = ask("verify", state=demo.state)
    assert untried.status == ExitStatus.OK
    assert f"not tried  {TOKEN}: the secret is not available here" in untried.out
    unset = ask("verify", "--as", TOKEN, state=demo.state)
    assert (unset.status, "PVECTL_PROBE_SECRET is not set" in unset.err) == (64, True)
    slip = ask("verify", "--as", "felhom-ctl@pve!ctrl", state=demo.state)
    assert (slip.status, f"did you mean {TOKEN}?" in slip.err) == (64, True)
    monkeypatch.setenv("PVECTL_PROBE_SECRET", kept)
    by_name = ask("verify", "--as", TOKEN, state=demo.state)
    assert by_name.status == ExitStatus.OK, by_name
    assert f"tried as  {TOKEN}" in by_name.out
    assert kept not in by_name.out + by_name.err


def test_a_team_is_verified_globs_groups_and_all() -> None:
    done = ask_json("verify", "--no-probe", on=FIXTURES / "team", state=TEAM_STATE)
    assert (done["failed"], done["disagreements"]) == (0, [])
    checks = {(*one["who"], one["privilege"]): one["checked"] for one in done["checks"]}
    assert checks["svc-terraform@pve!*", "User.Modify"] == 2
    assert checks["group:VM-Operators", "Sys.Modify"] == 2


def test_who_cannot_log_in_cannot_do_what_the_entries_say(tmp_path: Path) -> None:
    folder = copy_fixture("team", tmp_path / "pve")
    text = (folder / "user.cfg").read_text()
    (folder / "user.cfg").write_text(text.replace("user:alice@ldap:1:", "user:alice@ldap:0:"))
    done = ask("verify", on=folder, state=TEAM_STATE)
    assert done.status == ExitStatus.REFUSED
    assert (
        "alice@ldap cannot VM.PowerMgmt, VM.Snapshot on /vms/9001, but should be able to (disabled)"
        in (" ".join(done.out.split()))
    )


def test_without_expectations_there_is_nothing_to_verify(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[group.ops]\n")
    done = ask("verify", on=FIXTURES / "team", state=tmp_path)
    assert done.status == ExitStatus.OK
    assert done.out.startswith("Nothing to verify")


def test_a_name_that_matches_nobody_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(
        '[[expect]]\nwho = "group:Gone"\npath = "/"\ncannot = ["Sys.Modify"]\n'
    )
    done = ask("verify", on=FIXTURES / "team", state=tmp_path)
    assert done.status == ExitStatus.REFUSED
    assert "group:Gone is not an existing user, token or group" in done.out
    assert "- cannot Sys.Modify  (there is no group:Gone)" in done.out
    assert done.out.startswith("Not verified: 1 failure in 1 check.\n")
    (check,) = ask_json("verify", on=FIXTURES / "team", state=tmp_path)["checks"]
    assert check["ok"] is False
    suite = ask("verify", "--format", "junit", on=FIXTURES / "team", state=tmp_path).out
    assert 'tests="1" failures="1"' in suite


def _office() -> tuple[AccessTable, Expectation]:
    table = AccessTable(users={"ann@pve": Principal()})
    table.add_entry("/vms", USER, "ann@pve", "PVEVMUser", propagate=True)
    wanted = Expectation(
        ("ann@pve",), ("/vms/1*",), ("VM.Audit",), ("VM.Clone",), (), Source("a", 1)
    )
    return table, wanted


def test_an_answer_that_differs_from_the_computed_one_is_a_separate_finding() -> None:
    table, wanted = _office()
    found = expectation_subjects(table, [wanted], ["/vms/100", "/vms/101"])
    held = table.roles["PVEVMUser"]
    answers = dict.fromkeys(checkpoints(found), held)
    assert disagreements(table, found, answers) == ()
    answers[Checkpoint("ann@pve", "/vms/100")] = held - {"VM.Audit"}
    answers[Checkpoint("ann@pve", "/vms/101")] = held | {"VM.Teleport"}
    first, second = disagreements(table, found, answers)
    assert (first.less, first.named) == (("VM.Audit",), True)
    assert (second.more, second.named) == (("VM.Teleport",), False)
    outcomes = tuple(verdict(table, found, answers))
    assert [(one.privilege, len(one.failed)) for one in outcomes] == [
        ("VM.Audit", 1),
        ("VM.Clone", 0),
    ]
    done = Verification("here", outcomes, (first, second))
    assert done.failed == 2
    shown = FORMATS["verification"]["text"](done, View(width=200))
    assert "the cluster does not grant VM.Audit, unlike pvectl computes" in shown
    assert "the cluster also grants VM.Teleport, unlike pvectl computes" in shown


@dataclass
class Counted(Passing):
    """Counts what is asked."""

    paths: list[str] = field(default_factory=list)

    def get(self, requests: Sequence[Request]) -> list[Any]:
        self.paths += [str(dict(one.params).get("path", "all")) for one in requests]
        return self.api.get(requests)


def test_one_request_serves_all_listed_paths_of_a_principal() -> None:
    from reconciler.access.evaluate import index_of, privileges
    from reconciler.kinds import access_table
    from reconciler.kinds.shared.reader import EVERYTHING, read_state
    from reconciler.live.permissions import ask as ask_cluster

    counted = Counted(SandboxApi(FIXTURES / "team", read_only=True))
    kinds = ("role", "group", "user", "token", "acl", "pool")
    table = access_table(read_state(counted.api, kinds, {"pool": EVERYTHING})[0])
    wanted = [
        Checkpoint(who, path)
        for who in ("alice@ldap", "mallory@ldap", "root@pam")
        for path in ("/", "/nodes", "/vms/9000", "/vms/9001", "/vms/7777")
    ]
    answers = ask_cluster(counted, wanted, index_of(table).listed)
    assert sorted(counted.paths) == ["/vms/7777"] * 3 + ["all"] * 3
    assert {spot: frozenset(privileges(table, *spot)) for spot in wanted} == answers
