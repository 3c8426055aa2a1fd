"""Users, tokens, groups and roles in a few lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from tests.cli.in_process import ask, ask_json
from tests.support.command import FIXTURES

TEAM = FIXTURES / "team"
EXAMPLE = Path(__file__).parents[2] / "examples" / "team-access"


def _lines(*subject: str, state: Path | None = None) -> dict[str, str]:
    lines: dict[str, str] = ask_json("explain", *subject, on=TEAM, state=state)["lines"]
    return lines


def test_a_user_and_its_groups() -> None:
    told = ask("explain", "alice@ldap", on=TEAM)
    assert told.status == ExitStatus.OK
    assert told.out.startswith("alice@ldap: user; can log in\n")
    lines = _lines("alice@ldap")
    assert lines["groups"] == "DevOps, VM-Operators"
    assert lines["own"] == "VMOperatorCustom on /vms/9001 (this path only)"
    assert "PVEVMAdmin on /pool/Dev by VM-Operators" in lines["by groups"]


def test_a_token_and_its_user() -> None:
    lines = _lines("svc-terraform@pve!tf-prod")
    assert lines["own"] == "PVEVMAdmin on /pool/Prod"
    assert lines["by its user"] == "PVEVMAdmin on /pool/Dev"
    tokens = "svc-terraform@pve!tf-ci, svc-terraform@pve!tf-prod"
    assert _lines("svc-terraform@pve")["tokens"] == tokens
    root = "every privilege everywhere, without any entry"
    assert _lines("root@pam")["own"] == _lines("root@pam!bootstrap")["by its user"] == root


@pytest.mark.parametrize("subject", ["user.alice@ldap", "token.svc-terraform@pve!tf-ci"])
def test_an_address_names_its_object(subject: str) -> None:
    assert _lines(subject) == _lines(subject.partition(".")[2])
    told = ask("explain", subject, "/pool/Dev", "VM.Audit", on=TEAM)
    assert told.out.startswith(f"Yes: {subject.partition('.')[2]} has VM.Audit on /pool/Dev.\n")


def test_a_group_and_what_it_is_granted() -> None:
    lines = _lines("group:VM-Operators")
    assert lines == _lines("group.VM-Operators")
    assert lines["members"] == "alice@ldap, mallory@ldap"
    assert "/storage/local: see, store data on it" in lines["in words"]
    assert _lines("group:VM-Auditors")["members"] == "none"


@pytest.mark.parametrize("name", ["group:VM-Operators", "@VM-Operators", "VM-Operators"])
def test_what_a_group_gives_to_any_member(name: str) -> None:
    told = ask("explain", name, "/pool/Dev", "VM.Audit", on=TEAM)
    assert told.out.startswith("Yes: any member of VM-Operators has VM.Audit on /pool/Dev.\n")
    assert "any member of VM-Operators, through the group alone" in told.out
    assert "members more or less: alice@ldap, mallory@ldap." in " ".join(told.out.split())
    assert "Realm" not in told.out


def test_what_an_empty_group_lacks_is_granted_to_the_group() -> None:
    told = ask("explain", "group:VM-Auditors", "/pool/Dev", "VM.Audit", on=TEAM)
    assert told.out.startswith("No: any member of VM-Auditors does not have VM.Audit")
    assert 'groups = ["VM-Auditors"]' in told.out
    assert "--groups VM-Auditors" in told.out
    start = "POST /nodes/demo/qemu/9000/status/start"
    called = ask("explain", start, "--who", "group:VM-Auditors", on=TEAM)
    assert 'groups = ["VM-Auditors"]' in called.out, called


def test_a_role_and_what_no_expectation_needs(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(
        '[[expect]]\nwho = "alice@ldap"\npath = "/vms/9001"\ncan = ["VM.Audit", "VM.Console"]\n'
    )
    lines = _lines("role.VMOperatorCustom", state=tmp_path)
    assert lines["held by"] == "user alice@ldap on /vms/9001"
    assert lines["not needed"] == "by any [[expect]]: VM.PowerMgmt, VM.Snapshot"
    (tmp_path / "a.toml").write_text("[group.x]\n")
    assert "not needed" not in _lines("role.VMOperatorCustom", state=tmp_path)


def test_two_roles() -> None:
    lines = _lines("role.VMOperatorCustom", "role.PVEVMUser")
    assert lines["only VMOperatorCustom"] == "VM.Snapshot"
    assert lines["both"] == "VM.Audit, VM.Console, VM.PowerMgmt"
    assert ask("explain", "role.PVEAdmin", "role.PVEAdmin", on=TEAM).out.startswith(
        "role PVEAdmin and role PVEAdmin: the same\n"
    )


def test_the_files_alone() -> None:
    told = ask("explain", "group:VM-Operators", "--from-files", state=EXAMPLE)
    assert told.status == ExitStatus.OK, told
