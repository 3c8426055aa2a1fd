"""Grants and roles that become wider than the expectations about their holders ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.desired.loader import load
from reconciler.model.declared import Desired
from reconciler.model.finding import Finding
from reconciler.model.inventory import Facts, Guest
from reconciler.planning.builder import apply_changes, build_plan
from reconciler.planning.request import PlanRequest

CODE = "WIDER_THAN_NEEDED"
BASE = """
[group.ops]
[user."ann@pve"]
groups = ["ops"]
[user."bob@pve"]
[user."bob@pve".token.ci]
secret_to = { file = "secrets/ci" }
[pool.dev]
guests = [101, 102]
[role.Op]
privileges = ["VM.Audit", "VM.Console"]
"""


def acl(role: str, path: str, **who: str) -> str:
    ((kind, name),) = who.items()
    return f'[[acl]]\nroles = ["{role}"]\npaths = ["{path}"]\n{kind} = ["{name}"]\n'


def expect(who: str, path: str, *can: str) -> str:
    names = ", ".join(f'"{one}"' for one in can)
    return f'[[expect]]\nwho = "{who}"\npath = "{path}"\ncan = [{names}]\n'


BOB = {"users": "bob@pve"}
OPS = {"groups": "ops"}
CI = {"tokens": "bob@pve!ci"}
FACTS = Facts(guests={vmid: Guest(vmid, f"vm{vmid}", "qemu", "n") for vmid in (100, 101, 102)})
USES = acl("PVEVMUser", "/vms/100", **BOB)
RUNS = acl("Op", "/vms/100", **OPS)
POWER = expect("bob@pve", "/vms/100", "VM.PowerMgmt")


def planned(tmp_path: Path, before: str, after: str, role: str = "") -> list[Finding]:
    """The findings of a plan from one state of the files to another."""

    def read(name: str, text: str) -> Desired:
        (tmp_path / name).mkdir(exist_ok=True)
        base = BASE.replace('"VM.Console"', role) if role and name == "after" else BASE
        (tmp_path / name / "a.toml").write_text(base + text)
        return load(tmp_path / name)

    asked = PlanRequest("sandbox:x", "", 1_800_000_000)
    first = build_plan(read("before", before), {}, FACTS, asked).plan
    live = apply_changes({}, first.changes)
    return list(build_plan(read("after", after), live, FACTS, asked).plan.findings)


def wider(tmp_path: Path, before: str, after: str) -> list[Finding]:
    return [one for one in planned(tmp_path, before, after) if one.code == CODE]


@pytest.mark.parametrize(
    ("before", "after", "address", "told"),
    [
        (
            USES,
            acl("PVEVMUser", "/", **BOB) + POWER,
            "acl./|user:bob@pve|PVEVMUser",
            ["it had PVEVMUser on /vms/100", "keep PVEVMUser on /vms/100"],
        ),
        (
            USES,
            acl("Administrator", "/", **BOB) + expect("bob@pve", "/vms/100", "VM.Migrate"),
            "acl./|user:bob@pve|Administrator",
            ["asks, which is VM.Migrate on /vms/100"],
        ),
        (
            acl("PVEVMUser", "/vms/101", **OPS),
            acl("PVEVMUser", "/pool/dev", **OPS) + expect("ann@pve", "/vms/101", "VM.Console"),
            "acl./pool/dev|group:ops|PVEVMUser",
            ["keep PVEVMUser on /vms/101"],
        ),
        (
            "",
            acl("PVEVMAdmin", "/vms", **CI) + expect("bob@pve!ci", "/vms/100", "VM.Config.Disk"),
            "acl./vms|token:bob@pve!ci|PVEVMAdmin",
            ["grant it on /vms/100 instead"],
        ),
        (
            RUNS,
            acl("Administrator", "/vms/100", **OPS) + expect("group:ops", "/vms/100", "VM.Backup"),
            "acl./vms/100|group:ops|Administrator",
            ["where it had Op", "only VM.Backup on /vms/100 is missing"],
        ),
        (
            RUNS,
            RUNS.replace("Op", "Op2")
            + '[role.Op2]\nprivileges = ["VM.Audit", "VM.Console", "VM.Allocate", "VM.Backup"]\n'
            + expect("ann@pve", "/vms/100", "VM.Backup"),
            "acl./vms/100|group:ops|Op2",
            ["also gives VM.Allocate;"],
        ),
    ],
)
def test_what_would_do_is_shown_and_does(
    tmp_path: Path, before: str, after: str, address: str, told: list[str]
) -> None:
    (said,) = wider(tmp_path, before, after)
    assert str(said.address) == address
    assert said.source is not None
    for words in told:
        assert words in f"{said.message}\n{said.hint}"
    tables = said.hint.partition(" and add:\n")[2]
    if tables:
        asks = after[after.index("[[expect]]") :]
        codes = {one.code for one in planned(tmp_path, before, before + tables + "\n" + asks)}
        assert not codes & {"EXPECT", CODE}


@pytest.mark.parametrize(("extra", "told"), [("VM.Allocate", True), ("Datastore.Audit", False)])
def test_a_role_gets_no_more_than_what_is_missing(
    tmp_path: Path, extra: str, *, told: bool
) -> None:
    asks = RUNS + expect("ann@pve", "/vms/100", "VM.Backup")
    found = planned(tmp_path, RUNS, asks, f'"VM.Console", "VM.Backup", "{extra}"')
    said = [(str(one.address), one.hint) for one in found if one.code == CODE]
    hint = 'privileges = ["VM.Audit", "VM.Backup", "VM.Console"]'
    assert said == ([("role.Op", hint)] if told else [])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (USES, acl("PVEVMUser", "/", **BOB)),
        (USES, acl("PVEVMUser", "/vms", **BOB) + expect("bob@pve", "/vms/*", "VM.PowerMgmt")),
        (USES, acl("PVEVMUser", "/", **BOB) + POWER + expect("bob@pve", "/", "VM.Console")),
        ("", acl("PVEAuditor", "/", **BOB) + expect("bob@pve", "/vms/100", "VM.Audit")),
        ("", acl("PVEVMUser", "/pool/dev", **BOB) + expect("bob@pve", "/vms/101", "VM.Audit")),
        ("", acl("PVEVMAdmin", "/vms/100", **BOB) + POWER),
        (USES, acl("PVEVMAdmin", "/vms/100", **BOB) + POWER),
        (USES + POWER, USES + POWER + acl("PVEPoolUser", "/pool/dev", **BOB)),
    ],
)
def test_what_is_needed_or_not_said_is_no_finding(tmp_path: Path, before: str, after: str) -> None:
    assert wider(tmp_path, before, after) == []
