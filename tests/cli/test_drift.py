"""What somebody does behind the tool's back, and whether the alarm rings."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from reconciler.live.reader import read_live
from reconciler.live.records import records
from reconciler.model.address import Address
from reconciler.model.request import request
from reconciler.sandbox.cluster_log import note
from reconciler.sandbox.config.store import Store
from reconciler.sandbox.http.direct import SandboxApi
from tests.cli.in_process import ask
from tests.support.command import Ended, copy_fixture

USERS, DOMAINS, STORAGES, JOBS = "user.cfg", "domains.cfg", "storage.cfg", "jobs.cfg"
FILES = (USERS, DOMAINS, STORAGES, JOBS)
JOB = """vzdump: nightly
\tschedule 02:30
\tall 1
\tenabled 1
\tmode snapshot
\tprune-backups keep-daily=7
\tstorage local

"""
EXPECTED = """
[[expect]]
who = ["alice@ldap"]
paths = ["/vms/9001"]
cannot = ["VM.Allocate"]
"""


def _at(folder: Path, name: str, old: str, new: str) -> None:
    path = folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1) if old else text + new)


class House:
    """A cluster of a team, imported whole; `run` works on it in this process."""

    def __init__(self, folder: Path, *, backup: bool = True) -> None:
        self.pve = copy_fixture("team", folder / "pve")
        if backup:
            (self.pve / JOBS).write_text(JOB)
        self.state = folder / "state"
        self.state.mkdir()
        assert self.run("import").status == ExitStatus.OK

    def run(self, *arguments: object) -> Ended:
        return ask(*arguments, on=self.pve, state=self.state)

    def edit(self, name: str, old: str, new: str) -> None:
        _at(self.pve, name, old, new)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("imported"))


@pytest.fixture
def house(imported: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    house = House.__new__(House)
    house.pve, house.state = tmp_path / "pve", tmp_path / "state"
    shutil.copytree(imported.pve, house.pve)
    shutil.copytree(imported.state, house.state)
    return house


USER = "user:eve@pve:1:0::::::\n"
TOKEN = "token:alice@ldap!extra:0:1::\n"

ATTACKS = {
    "a realm": (DOMAINS, "", "\nldap: evil\n\tbase_dn dc=e\n\tserver1 e.x\n\tuser_attr uid\n"),
    "a user": (USERS, "group:DevOps", USER + "group:DevOps"),
    "a root": (USERS, "group:DevOps", USER + "acl:1:/:eve@pve:Administrator:\ngroup:DevOps"),
    "a token": (USERS, "group:DevOps", TOKEN + "group:DevOps"),
    "a token without separation": (
        USERS,
        "token:svc-terraform@pve!tf-ci:0:1:",
        "token:svc-terraform@pve!tf-ci:0:0:",
    ),
    "a token of root": (USERS, "group:DevOps", "token:root@pam!extra:0:0::\ngroup:DevOps"),
    "a grant": (USERS, "acl:1:/nodes:", "acl:1:/vms:mallory@ldap:PVEVMAdmin:\nacl:1:/nodes:"),
    "a grant to a group": (USERS, "acl:1:/:@DevOps:PVEAuditor", "acl:1:/:@DevOps:Administrator"),
    "a member": (USERS, "group:DevOps:alice@ldap", "group:DevOps:alice@ldap,mallory@ldap"),
    "a group with a grant": (
        USERS,
        "acl:1:/nodes:",
        "group:ops:alice@pve::\nacl:1:/:@ops:PVEAdmin:\nacl:1:/nodes:",
    ),
    "a role widened": (USERS, "VM.Audit,VM.Console", "VM.Allocate,VM.Audit,VM.Console"),
    "a grant that spreads": (USERS, "acl:0:/vms/9001:", "acl:1:/vms/9001:"),
    "a guest moved": (
        USERS,
        "pool:Dev::9000::\npool:Prod::9001",
        "pool:Dev::9000,9001::\npool:Prod:",
    ),
    "an account switched on": (USERS, "mallory@ldap:1:1893456000", "mallory@ldap:1:0"),
    "an account switched off": (USERS, "user:svc-terraform@pve:1", "user:svc-terraform@pve:0"),
    "a token that lives longer": (
        USERS,
        "user:alice@pve:1:0",
        "user:alice@pve:1:1993456000",
    ),
    "a grant revoked": (USERS, "acl:1:/storage/local:@VM-Operators:PVEDatastoreUser:\n", ""),
    "a realm led elsewhere": (DOMAINS, "server1 ldap.example.invalid", "server1 evil.example.org"),
    "a job switched off": (JOBS, "enabled 1", "enabled 0"),
    "a retention narrowed": (JOBS, "keep-daily=7", "keep-daily=1"),
    "a job removed": (JOBS, JOB, ""),
    "a storage without backups": (STORAGES, "iso,vztmpl,backup,import", "iso,vztmpl"),
}
"""What was done -> file, old text, new text."""

UNDECLARED = {
    "a realm",
    "a user",
    "a root",
    "a token",
    "a token of root",
    "a grant",
    "a group with a grant",
    "a grant to a group",
}
ROOTS = {"a root", "a grant to a group", "a group with a grant", "a token of root"}
ROOT = {"a root": "eve@pve has become root", "a grant to a group": "alice@ldap has become root"}


MEANT = {"create": "missing", "update": "changed", "delete": "extra"}


@pytest.fixture(scope="module")
def watched(
    imported: House, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[House, Path]]:
    """A cluster that was quiet at the last report, and the folder that remembers it."""
    home = tmp_path_factory.mktemp("watched") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PVECTL_HOME", str(home))
        quiet = imported.run("drift")
        assert (quiet.status, quiet.out.splitlines()[0]) == (0, "Drift: none"), quiet
        yield imported, home


Attacked = Callable[..., Ended]
"""The edits and the formats -> what drift says of the cluster with these edits."""


@pytest.fixture
def attacked(
    watched: tuple[House, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Attacked:
    house, home = watched
    shutil.copytree(home, tmp_path / "home")
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))

    def attack(edits: Iterable[tuple[str, str, str]], *formats: str) -> Ended:
        before = {name: (house.pve / name).read_bytes() for name in FILES}
        try:
            for edit in edits:
                house.edit(*edit)
            return house.run("drift", *(word for name in formats for word in ("--format", name)))
        finally:
            for name, content in before.items():
                (house.pve / name).write_bytes(content)

    return attack


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_alarm_rings(attacked: Attacked, attack: str, tmp_path: Path) -> None:
    metrics, report = tmp_path / "drift.prom", tmp_path / "drift.json"
    files = [tmp_path / f"drift.{name}" for name in ("markdown", "junit", "nagios")]
    formats = ["text", f"metrics={metrics}", f"json={report}"]
    formats += [f"{path.suffix[1:]}={path}" for path in files]
    ended = attacked([ATTACKS[attack]], *formats)
    assert ended.status == ExitStatus.CHANGES, ended
    for told in (ended.out, *(path.read_text() for path in files)):
        assert not re.search(r"^ *[+~-] ", told, re.M), "words instead of +, ~ and -"
        assert re.search(r"(missing|changed|extra)\b", told)
        assert ROOT.get(attack, "") in told
    first = ended.out.splitlines()[:10]
    code, said = ("changed", "changed in the cluster")
    if attack in UNDECLARED:
        code, said = ("undeclared", "undeclared")
    assert said in first[0]
    told = "\n".join(first)
    assert ROOT.get(attack, "") in told
    assert ("new way" in first[0]) is (attack in ROOTS), told
    assert re.search(r"has (become|gained|lost)|have (gained|lost)|(missing|changed|extra) ", told)
    content = json.loads(report.read_text())
    assert all(one["difference"] in MEANT[one["action"]] for one in content["differences"])
    classes = [one["class"] for one in content["differences"]]
    classes += ["undeclared" for one in content["undeclared"] if one["rings"]]
    assert code in classes
    assert "unknown" not in classes
    samples = metrics.read_text()
    assert re.search(r"^pvectl_drift_exit_status\{.*\} 2$", samples, re.M)
    kinds = rf'^pvectl_drift_objects\{{.*class="{code}"\}} [1-9]'
    alarms = r'^pvectl_drift_undeclared\{.*state="alarm"\} [1-9]'
    assert re.search(kinds, samples, re.M) or re.search(alarms, samples, re.M)


def test_who_has_become_root_is_reported_once(house: House) -> None:
    grants = "".join(f"acl:1:/:{who}@pve:Administrator:\n" for who in ("eve", "mal"))
    users = USER + USER.replace("eve@pve", "mal@pve")
    house.edit(USERS, "group:DevOps", f"{users}{grants}group:DevOps")
    told = " ".join(house.run("drift").out.partition("Undeclared")[0].split())
    assert told.count("eve@pve") == told.count("mal@pve") == 1, told
    assert "eve@pve, mal@pve have become root, with every privilege on /" in told
    assert "gained" not in told


LDAP, LOCAL = "\tuser_attr uid\n", "\tcontent iso,vztmpl,backup,import\n"
PAIR = "svc-terraform@pve,svc-terraform@pve!tf-ci:PVEVMAdmin"
MORE: dict[str, tuple[str, tuple[tuple[str, str, str], ...]]] = {
    "a realm-sync job": (
        "undeclared",
        ((JOBS, "", "\nrealm-sync: evil\n\trealm ldap\n\tschedule hourly\n\tscope both\n"),),
    ),
    "another default realm": ("changed", ((DOMAINS, LDAP, LDAP + "\tdefault 1\n"),)),
    "other people of a directory": ("changed", ((DOMAINS, "user_attr uid", "user_attr mail"),)),
    "other defaults of a sync": (
        "changed",
        ((DOMAINS, LDAP, LDAP + "\tsync-defaults-options scope=both,enable-new=1\n"),),
    ),
    "names in any case": ("changed", ((DOMAINS, LDAP, LDAP + "\tcase-sensitive 0\n"),)),
    "a realm gone": (
        "changed",
        (
            (
                DOMAINS,
                "ldap: ldap\n\tbase_dn dc=example,dc=invalid\n",
                "ldap: other\n\tbase_dn dc=e\n",
            ),
        ),
    ),
    "a token that ends": ("changed", ((USERS, "tf-prod:0:1", "tf-prod:1993456000:1"),)),
    "a privilege swapped": (
        "changed",
        ((USERS, "VM.PowerMgmt,VM.Snapshot", "VM.Config.Memory,VM.PowerMgmt"),),
    ),
    "a right to give rights": (
        "changed",
        ((USERS, "Custom:VM.Audit", "Custom:Permissions.Modify,VM.Audit"),),
    ),
    "a grant that no longer spreads": ("changed", ((USERS, "1:/pool/Dev", "0:/pool/Dev"),)),
    "the token's half of a pair": (
        "changed",
        ((USERS, PAIR, "svc-terraform@pve:PVEVMAdmin"),),
    ),
    "the user's half of a pair": (
        "changed",
        ((USERS, PAIR, "svc-terraform@pve!tf-ci:PVEVMAdmin"),),
    ),
    "a group emptied": (
        "changed",
        ((USERS, "VM-Operators:alice@ldap,mallory@ldap", "VM-Operators:"),),
    ),
    "a guest in a nested pool": (
        "changed",
        ((USERS, "pool:Prod::9001::\n", "pool:Prod::::\npool:Dev/sub::9001::\n"),),
    ),
    "a storage in a pool": ("changed", ((USERS, "pool:Dev::9000::", "pool:Dev::9000:local:"),)),
    "a storage called shared": ("changed", ((STORAGES, LOCAL, LOCAL + "\tshared 1\n"),)),
    "disks beside backups": ("changed", ((STORAGES, "backup,import", "backup,images,import"),)),
    "a storage disabled": ("changed", ((STORAGES, LOCAL, LOCAL + "\tdisable 1\n"),)),
    "a retention of a storage": (
        "changed",
        ((STORAGES, LOCAL, LOCAL + "\tprune-backups keep-last=1\n"),),
    ),
    "a job on another node": ("changed", ((JOBS, "\tall 1\n", "\tall 1\n\tnode other\n"),)),
    "a guest left out of a job": ("changed", ((JOBS, "\tall 1\n", "\tall 1\n\texclude 9001\n"),)),
    "a job far in the future": ("changed", ((JOBS, "02:30", "2099-01-01 02:30"),)),
    "a denial": (
        "undeclared",
        ((USERS, "acl:1:/nodes:", "acl:1:/vms/9001:@VM-Operators:NoAccess:\nacl:1:/nodes:"),),
    ),
    "who may make users": (
        "undeclared",
        (
            (
                USERS,
                "acl:1:/nodes:",
                "acl:1:/access/groups:mallory@ldap:PVEUserAdmin:\nacl:1:/nodes:",
            ),
        ),
    ),
    "a membership that becomes a grant": (
        "undeclared",
        (
            (USERS, "group:DevOps:alice@ldap", "group:DevOps:"),
            (USERS, "acl:1:/nodes:", "acl:1:/:alice@ldap:PVEAuditor:\nacl:1:/nodes:"),
        ),
    ),
    "a role in two": (
        "undeclared",
        (
            (USERS, "VM.PowerMgmt,VM.Snapshot:", "VM.PowerMgmt:"),
            (
                USERS,
                "acl:1:/nodes:",
                "role:S:VM.Snapshot:\nacl:0:/vms/9001:alice@ldap:S:\nacl:1:/nodes:",
            ),
        ),
    ),
    "a token that needs its pair no longer": (
        "changed",
        (
            (USERS, "tf-prod:0:1", "tf-prod:0:0"),
            (USERS, "acl:1:/pool/Prod:svc-terraform@pve!tf-prod:PVEVMAdmin:\n", ""),
        ),
    ),
    "an end for root": ("changed", ((USERS, "user:root@pam:1:0", "user:root@pam:1:1993456000"),)),
}
"""What was done -> the worst class of it, and the edits."""


@pytest.mark.parametrize("attack", MORE)
def test_the_alarm_rings_for_what_no_file_gives_and_for_what_cancels_out(
    attacked: Attacked, attack: str, tmp_path: Path
) -> None:
    code, edits = MORE[attack]
    reports = {name: tmp_path / name for name in ("json", "metrics")}
    ended = attacked(edits, "text", *(f"{name}={path}" for name, path in reports.items()))
    assert ended.status == ExitStatus.CHANGES, ended
    first = ended.out.splitlines()[:10]
    assert {"changed": "changed in the cluster"}.get(code, code) in first[0]
    assert "in the files" not in first[0]
    assert re.search(
        r"has (become|gained|lost)|have (gained|lost)|(missing|changed|extra) ", "\n".join(first)
    )
    content = json.loads(reports["json"].read_text())
    classes = [one["class"] for one in content["differences"]]
    classes += ["undeclared" for one in content["undeclared"] if one["rings"]]
    assert code in classes
    assert set(classes) <= {"changed", "undeclared"}
    by_hand = {one["address"] for one in content["differences"] if one.get("not_given")}
    of_plans = [one for one in content["findings"] if one.get("address") in by_hand]
    assert all(one["code"].startswith("LINT_") for one in of_plans), "of changes that no plan makes"
    samples = reports["metrics"].read_text()
    assert re.search(r"^pvectl_drift_exit_status\{.*\} 2$", samples, re.M)
    assert re.search(rf'^pvectl_drift_\w+\{{.*"({code}|alarm)"\}} [1-9]', samples, re.M)


def test_undeclared_objects_raise_an_alarm_until_acknowledged_and_again_when_they_change(
    house: House,
) -> None:
    house.edit(*ATTACKS["a root"])
    first = house.run("drift")
    assert "not declared" in first.out
    assert "previous report" not in first.out
    again = house.run("drift")
    assert "known from the previous report" in again.out
    assert [one.status for one in (first, again)] == [2, 2]
    assert house.run("drift", "--acknowledge").status == ExitStatus.CHANGES
    quiet = house.run("drift")
    assert quiet.status == ExitStatus.OK, quiet
    assert "1 user: not declared, not attached to a declared object: eve@pve" in quiet.out
    house.edit(USERS, "user:eve@pve:1:0:", "user:eve@pve:1:1993456000:")
    changed = house.run("drift")
    assert changed.status == ExitStatus.CHANGES
    assert "new since the previous report" in changed.out


@pytest.mark.parametrize("mode", ["watch", "additive", "owned"])
def test_a_new_root_rings_in_every_mode_that_leaves_it_alone(house: House, mode: str) -> None:
    (house.state / "pvectl.toml").write_text(f'[manage]\nuser = "{mode}"\nacl = "{mode}"\n')
    house.edit(*ATTACKS["a root"])
    assert house.run("drift").status == ExitStatus.CHANGES
    planned = house.run("plan")
    assert "0 to delete" in planned.out or "no changes" in planned.out
    assert "eve@pve" in planned.out.partition("Not managed")[2]


def test_a_watched_kind_reports_everything_undeclared(house: House) -> None:
    pool = ("user.cfg", "pool:Dev", "pool:New:::\npool:Dev")
    house.edit(*pool)
    assert house.run("drift").status == ExitStatus.OK
    (house.state / "pvectl.toml").write_text('[manage]\npool = "watch"\n')
    ended = house.run("drift")
    assert ended.status == ExitStatus.CHANGES
    assert "extra    pool.New" in ended.out
    (house.state / "pvectl.toml").write_text(
        '[manage]\npool = { mode = "watch", exclude = ["New"] }\n'
    )
    assert house.run("drift").status == ExitStatus.OK


def test_a_failing_expectation_is_the_worst(house: House, tmp_path: Path) -> None:
    (house.state / "expect.toml").write_text(EXPECTED)
    assert house.run("drift").status == ExitStatus.OK
    house.edit(*ATTACKS["a role widened"])
    metrics = tmp_path / "m.prom"
    ended = house.run("drift", "--format", "text", "--format", f"metrics={metrics}")
    assert ended.status == ExitStatus.REFUSED
    assert ended.out.startswith("Drift: 1 expectation fails, ")
    assert "\n      given by VMOperatorCustom for " in ended.out
    assert "it holds as declared: `pvectl plan" in ended.out
    assert re.search(r"^pvectl_expectations_failed\{.*\} 1$", metrics.read_text(), re.M)
    more = '[user."new@pve"]\n' + EXPECTED.replace("alice@ldap", "new@pve")
    (house.state / "more.toml").write_text(more + more[18:].replace("cannot", "can"))
    told = " ".join(house.run("drift").out.split())
    assert "new@pve is not an existing user, token or group it is declared, but not in" in told
    assert "new@pve: missing in the cluster, active as declared" in told


def test_what_ends_soon_rings_by_alarm_and_findings_fail_by_lint(house: House) -> None:
    soon = int(time.time()) + 5 * 86400 + 3600
    house.edit(
        USERS, "token:svc-terraform@pve!tf-ci:0:1:", f"token:svc-terraform@pve!tf-ci:{soon}:1:"
    )
    for path in house.state.glob("*.toml"):
        path.unlink()
    assert house.run("import").status == ExitStatus.OK
    ended = house.run("drift")
    assert ended.status == ExitStatus.CHANGES
    assert ended.out.startswith("Drift: 1 expiring")
    assert "token.svc-terraform@pve!tf-ci expires in 5 days" in ended.out
    settings = house.state / "pvectl.toml"
    settings.write_text("[alarm]\ntokens = 2\n")
    assert house.run("drift").status == ExitStatus.OK
    settings.write_text('[alarm]\ntokens = 2\n[lint]\nfail = ["LINT_EMPTY_GROUP"]\n')
    ended = house.run("drift")
    assert ended.status == ExitStatus.REFUSED
    assert ended.out.startswith("Drift: 1 finding that fails")
    settings.write_text('[lint]\nfail = ["LINT_EMPTY_GROUPS"]\n')
    ended = house.run("drift")
    assert ended.status == ExitStatus.FILES_INVALID
    assert "no finding has the code 'LINT_EMPTY_GROUPS' in [lint] fail" in ended.err
    assert "did you mean LINT_EMPTY_GROUP?" in ended.err
    settings.write_text("")
    assert house.run("drift", "--fail-on", "warning").status == ExitStatus.REFUSED
    assert house.run("drift", "--fail-on", "error").status == ExitStatus.CHANGES


def _git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.invalid")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    subprocess.run(
        ["git", *who, *words], cwd=folder, check=True, env=environment, capture_output=True
    )


def _class_of(house: House, *arguments: str) -> dict[str, str]:
    found = json.loads(house.run("drift", "--format", "json", *arguments).out)
    return {one["address"]: one["class"] for one in found["differences"]}


def test_a_change_in_the_files_is_told_from_one_in_the_cluster(house: House) -> None:
    _git(house.state, "init", "-q")
    _git(house.state, "add", "-A")
    _git(house.state, "commit", "-qm", "imported")
    files = {path: path.read_text() for path in house.state.glob("*.toml")}
    place, text = next((p, t) for p, t in files.items() if "shadow account" in t)
    place.write_text(text.replace("shadow account", "other") + '\n[user."new@pve"]\n')
    house.edit(*ATTACKS["a role widened"])
    role, alice, new = "role.VMOperatorCustom", "user.alice@pve", "user.new@pve"
    assert _class_of(house) == dict.fromkeys((role, alice, new), "unknown")
    since = {role: "changed", alice: "changed-in-files", new: "never-applied"}
    assert _class_of(house, "--since", "HEAD") == since
    assert _class_of(house) == dict.fromkeys((role, alice, new), "unknown")
    wrong = house.run("drift", "--since", "nowhere")
    assert wrong.status == ExitStatus.USAGE
    assert "git has no state files at 'nowhere'" in wrong.err


def test_the_last_report_knows_what_was_in_order(house: House) -> None:
    assert house.run("drift").status == ExitStatus.OK
    files = {path: path.read_text() for path in house.state.glob("*.toml")}
    place, text = next((p, t) for p, t in files.items() if "shadow account" in t)
    place.write_text(text.replace("shadow account", "other") + '\n[user."new@pve"]\n')
    house.edit(*ATTACKS["a grant revoked"])
    gone = "acl./storage/local|group:VM-Operators|PVEDatastoreUser"
    classes = {
        gone: "changed",
        "user.alice@pve": "changed-in-files",
        "user.new@pve": "never-applied",
    }
    assert _class_of(house) == classes
    assert _class_of(house) == classes


def test_the_journal_knows_what_was_applied(house: House) -> None:
    (house.state / "more.toml").write_text('[user."new@pve"]\ncomment = "made"\n')
    assert house.run("apply", "--yes").status == ExitStatus.OK
    house.edit(USERS, "::made:", "::by hand:")
    assert _class_of(house) == {"user.new@pve": "changed"}


def test_an_account_that_others_manage_rings_when_it_joins_a_group(house: House) -> None:
    (house.state / "pvectl.toml").write_text('[manage]\nuser = { exclude = ["x-*"] }\n')
    house.edit(USERS, "", "user:x-bob@ldap:1:0::::::\n")
    house.edit(USERS, "group:VM-Operators:", "group:VM-Operators:x-bob@ldap,")
    assert house.run("drift").status == ExitStatus.OK, "as it was found at first"
    house.edit(USERS, "group:DevOps:", "group:DevOps:x-bob@ldap,")
    house.edit(USERS, "", "user:x-eve@ldap:1:0::::::\n")
    house.edit(USERS, "group:VM-Operators:x-bob@ldap,", "group:VM-Operators:x-bob@ldap,x-eve@ldap,")
    for _ in range(2):  # until it is accepted
        drift = house.run("drift")
        assert drift.status == ExitStatus.CHANGES
        head, _, rest = drift.out.partition("Changed in the cluster: 2\n")
        assert "x-bob@ldap has gained " in head
        assert "x-eve@ldap has gained " in head
        assert re.search(r"user.x-bob@ldap\n.*\n +groups +new DevOps\n", rest)
        assert re.search(r"user.x-eve@ldap\n.*\n +groups +new VM-Operators\n", rest)
    assert house.run("drift", "--acknowledge").status == ExitStatus.CHANGES
    assert house.run("drift").status == ExitStatus.OK


LEAVING = """
[user."new@pve"]
[pool.Lab]
comment = "lab"
storages = ["local"]
[[acl]]
users = ["new@pve"]
roles = ["PVEVMUser"]
paths = ["/pool/Lab"]
[[acl]]
groups = ["VM-Operators"]
roles = ["PVEVMUser"]
paths = ["/pool/Lab"]
"""


def test_what_left_the_files_is_told_from_what_somebody_made(house: House) -> None:
    (house.state / "more.toml").write_text(LEAVING)
    assert house.run("apply", "--yes").status == ExitStatus.OK
    (house.state / "more.toml").unlink()
    found = json.loads(house.run("drift", "--format", "json").out)
    left = {
        one["address"]: one["class"]
        for one in (*found["differences"], *found["undeclared"])
        if one.get("rings", True)
    }
    entry = "acl./pool/Lab|{}|PVEVMUser"
    mine = ["pool.Lab", "user.new@pve", entry.format("group:VM-Operators")]
    assert left == dict.fromkeys((*mine, entry.format("user:new@pve")), "changed-in-files")
    house.edit(USERS, "user:new@pve:1:0::::", "user:new@pve:1:0::::by hand")
    told = house.run("drift").out
    assert told.startswith("Drift: 1 undeclared, 3 changed in the files since the last apply\n")
    assert "no longer declared; belongs to group.VM-Operators" in told
    assert "no longer declared; still as the last apply left it" in told
    assert "CRITICAL" in house.run("drift", "--format", "nagios").out


def test_what_a_run_deleted_and_restored_has_not_left_the_files(
    house: House, tmp_path: Path
) -> None:
    house.edit(USERS, "group:DevOps", "group:Guests:::\ngroup:DevOps")
    (house.state / "more.toml").write_text('[[removed]]\naddress = "group.Guests"\n')
    assert house.run("apply", "--yes").status == ExitStatus.OK
    (house.state / "more.toml").unlink()
    (journal,) = (tmp_path / "home").rglob("*.jsonl")
    assert house.run("rollback", journal, "--yes").status == ExitStatus.OK
    told = house.run("plan").out
    assert "1 group: not declared, not attached to a declared object: Guests" in told
    assert "no longer declared" not in told


FORMATS = ("text", "json", "markdown", "metrics", "sarif", "junit")


@pytest.mark.parametrize("command", ["plan", "drift"])
def test_every_report_is_written_when_the_files_are_wrong(
    house: House, command: str, tmp_path: Path
) -> None:
    (house.state / "wrong.toml").write_text('[user."x@pve"]\nnonsense = 1\n')
    reports = {name: tmp_path / name for name in FORMATS}
    for path in reports.values():
        path.write_text("of yesterday")
    given = [word for name, path in reports.items() for word in ("--format", f"{name}={path}")]
    assert house.run(command, *given).status == ExitStatus.FILES_INVALID
    written = {name: path.read_text() for name, path in reports.items()}
    assert not [name for name, text in written.items() if "yesterday" in text]
    assert json.loads(written["json"])["error"] == "E_FILES"
    for name in ("text", "json", "markdown", "sarif", "junit"):
        assert "wrong.toml" in written[name]
        assert "nonsense" in written[name]
    assert _samples(reports["metrics"], command)["success"] == 0
    assert _samples(reports["metrics"], command)["last_success_timestamp_seconds"] == 0
    (house.state / "wrong.toml").unlink()
    assert house.run(command, *given).status == ExitStatus.OK
    assert _samples(reports["metrics"], command)["success"] == 1


def _samples(path: Path, command: str) -> dict[str, int]:
    """What every run writes about itself."""
    names = "success|exit_status|timestamp_seconds|last_success_timestamp_seconds"
    found = re.findall(
        rf"^pvectl_{command}_({names})\{{target=\"[^\"]+\"\}} (\d+)$", path.read_text(), re.M
    )
    assert len(found) == 4, path.read_text()
    return {name: int(value) for name, value in found}


def test_metrics_of_a_failed_run_tell_when_one_succeeded_last(house: House, tmp_path: Path) -> None:
    path = tmp_path / "pvectl.prom"
    house.edit(*ATTACKS["a root"])
    assert house.run("drift", "--format", f"metrics={path}").status == ExitStatus.CHANGES
    good = _samples(path, "drift")
    assert good["exit_status"] == ExitStatus.CHANGES
    assert good["last_success_timestamp_seconds"] == good["timestamp_seconds"] > 1_700_000_000
    path.write_text(path.read_text().replace(str(good["timestamp_seconds"]), "1700000000"))
    (house.state / "wrong.toml").write_text("nonsense = 1\n")
    for _ in range(2):
        assert house.run("drift", "--format", f"metrics={path}").status == ExitStatus.FILES_INVALID
        failed = _samples(path, "drift")
        assert (failed["success"], failed["exit_status"]) == (0, 3)
        assert failed["last_success_timestamp_seconds"] == 1_700_000_000
        assert failed["timestamp_seconds"] > 1_700_000_000


@pytest.mark.parametrize(
    ("attack", "status", "state"),
    [
        ("", 0, "OK - "),
        ("a root", 2, "CRITICAL - "),
        ("a comment", 1, "WARNING - "),
        ("wrong files", 3, "UNKNOWN - E_FILES: "),
    ],
)
def test_a_monitoring_plugin_ends_with_the_states_of_its_kind(
    house: House, attack: str, status: int, state: str
) -> None:
    if attack == "wrong files":
        (house.state / "wrong.toml").write_text("nonsense = 1\n")
    elif attack == "a comment":
        house.edit(USERS, "::contractor:", "::manager:")
    elif attack:
        house.edit(*ATTACKS[attack])
    ended = house.run("drift", "--format", "nagios", "--quiet")
    assert (ended.status, ended.err) == (status, "")
    first, *more = ended.out.splitlines()
    assert first.startswith(f"PVECTL DRIFT {state}")
    assert (" | differences=" in first) is (status != 3)
    assert bool(more) is bool(status)


def test_a_plugin_is_about_one_cluster(house: House) -> None:
    two = "".join(f'[target.{name}]\nendpoint = "sandbox:{house.pve}"\n' for name in "ab")
    (house.state / "pvectl.toml").write_text(two)
    ended = ask("drift", "--format", "nagios", "--on", "all", state=house.state)
    assert (ended.status, ended.out.splitlines()[0]) == (
        3,
        "PVECTL DRIFT UNKNOWN - E_USAGE: a monitoring plugin reports on one cluster",
    )


def test_a_cluster_that_does_not_answer_is_in_the_report(tmp_path: Path) -> None:
    state, report = tmp_path / "state", tmp_path / "r.md"
    state.mkdir()
    ended = ask("drift", "--format", f"markdown={report}", on=tmp_path / "none", state=state)
    assert ended.status not in {0, 2}
    assert "drift failed" in report.read_text()


def test_what_no_file_gives_rings_until_it_is_written_or_accepted(house: House) -> None:
    """A plan leaves an account alone that somebody switched off by hand, drift does not."""
    assert house.run("drift").status == ExitStatus.OK
    house.edit(*ATTACKS["an account switched off"])
    planned = house.run("plan", "--detailed-exitcode")
    assert planned.status == ExitStatus.OK, planned
    for _ in range(2):
        ended = house.run("drift")
        assert ended.status == ExitStatus.CHANGES
        assert "which does not give enabled" in ended.out
        assert "Plans do not change keys that the files omit" in ended.out
    assert house.run("drift", "--acknowledge").status == ExitStatus.CHANGES
    assert house.run("drift").status == ExitStatus.OK


def test_who_and_when_as_far_as_it_is_recorded(house: House) -> None:
    """What cannot be known is said once, and on a quiet cluster nothing is asked."""
    role = house.state / "more.toml"
    role.write_text('[role.Mine]\nprivileges = ["VM.Audit"]\n')
    assert house.run("apply", "--yes").status == ExitStatus.OK
    assert "Who and when" not in house.run("drift").out
    moment = int(time.time())
    note(Store(house.pve), moment, "root@pam", "successful auth for user 'alice@pam'")
    SandboxApi(house.pve).send(request("POST", "access", "domains", "ldap", "sync", scope="both"))
    house.edit(USERS, "role:Mine:VM.Audit", "role:Mine:VM.Allocate,VM.Audit")
    house.edit(USERS, "group:DevOps", "user:new@ldap:1:0::::::\ngroup:DevOps")
    file = house.state.parent / "drift.json"
    both = house.run("drift", "--format", "text", "--format", f"json={file}")
    told = " ".join(both.out.split())
    assert re.search(r"since the previous report, \S+ \S+ UTC: role.Mine, user.new@ldap", told)
    assert re.search(r"role.Mine: last applied \S+ \S+ UTC by \S+", told)
    assert re.search(r"task auth-realm-sync ldap, \S+ \S+ UTC, by root@pam: ", told)
    assert re.search(r"logins since then: alice@pam \(\S+ \S+ UTC\)", told)
    assert told.count("does not record who") == 1
    recorded = json.loads(file.read_text())["records"]
    assert [one["kind"] for one in recorded["tasks"]] == ["auth-realm-sync"]


def test_who_may_not_read_logins_is_told_so(house: House) -> None:
    cfg = "user:audit@pve:1:0::::::\nacl:1:/:audit@pve:PVEAuditor:\n"
    house.edit(USERS, "group:DevOps", cfg + "group:DevOps")
    note(Store(house.pve), 100, "root@pam", "successful auth for user 'alice@pam'")
    for who, seen in (("audit@pve", ()), ("root@pam", ("alice@pam",))):
        api = SandboxApi(house.pve, who)
        live = read_live(api, ["user"], {})
        found = records(api, live.table(), [Address("user", "x@pve")], 50, 200)
        assert tuple(one.user for one in found.logins) == seen
        assert ("audit@pve lacks Sys.Syslog on /" in found.unseen) is (not seen)
