"""Plans that people read all day: what is new comes first, and what is known takes few lines."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from tests.cli.in_process import ask, ask_json
from tests.support.command import Ended, copy_fixture

TEAMS = 200
REQUEST = re.compile(r"\b(?:GET|POST|PUT|DELETE) /")


def team(number: int) -> str:
    """A team with much to object to: an empty group, a direct grant, a token without an end."""
    name = f"team{number:03}"
    return f"""
[group.{name}]

[user."{name}@pve"]

[user."{name}@pve".token.ci]
privsep = false
secret_to = {{ file = "secrets/{name}" }}

[[acl]]
roles = ["PVEVMUser"]
paths = ["/pool/{name}"]
groups = ["{name}"]
users = ["{name}@pve"]

[pool.{name}]
"""


def applied(number: int) -> str:
    """The lines of user.cfg where that team is there."""
    name = f"team{number:03}"
    return (
        f"user:{name}@pve:1:0::::::\ntoken:{name}@pve!ci:0:0::\ngroup:{name}:::\npool:{name}:::::\n"
        f"acl:1:/pool/{name}:{name}@pve,@{name}:PVEVMUser:\n"
    )


class Teams:
    """The teams' files, and the folder of a cluster."""

    def __init__(self, folder: Path, number: int) -> None:
        self.pve, self.state = copy_fixture("fresh", folder / "pve"), folder / "state"
        self.state.mkdir()
        (self.state / "teams.toml").write_text("".join(map(team, range(number))))

    def run(self, *arguments: object) -> Ended:
        return ask(*arguments, on=self.pve, state=self.state)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    return tmp_path


def test_a_plan_without_changes_takes_sixty_lines_at_most(home: Path) -> None:
    teams = Teams(home, TEAMS)
    users = teams.pve / "user.cfg"
    users.write_text(users.read_text() + "".join(map(applied, range(TEAMS))))
    second = teams.run("plan")
    assert second.out.splitlines()[0] == "Plan: no changes"
    assert len(second.out.splitlines()) <= 60
    assert "known findings" in second.out
    assert re.search(r"LINT_PRIVSEP_OFF +200: token\.team000@pve!ci, ", second.out)

    with (teams.state / "teams.toml").open("a") as file:
        file.write(team(TEAMS))
    ended = teams.run("plan", "--format", f"json={home}/plan.json", "--format", "text")
    assert not REQUEST.search(ended.out)
    news, _, known = ended.out.partition("known findings")
    assert "LINT_PRIVSEP_OFF  teams.toml:" in news.partition("Steps")[0]
    assert "team199" not in news
    assert news.index("Access") < news.index(" warnings\n") < news.index("Steps")
    assert "LINT_PRIVSEP_OFF" in known
    found = json.loads((home / "plan.json").read_text())["findings"]
    assert {one["address"] for one in found if not one.get("known") and "address" in one} >= {
        "token.team200@pve!ci"
    }

    users.write_text(f"{users.read_text()}user:eve@pve:1:0::::::\nacl:1:/:eve@pve:Administrator:\n")
    told = teams.run("drift").out.splitlines()
    assert any(line.startswith("  ! eve@pve") and "become root" in line for line in told[:10])


def test_alike_refusals_are_one_with_one_allow(home: Path) -> None:
    teams = Teams(home, 7)
    assert teams.run("apply", "--yes").status == ExitStatus.OK
    gone = "".join(
        f'[[removed]]\naddress = "{kind}"\n'
        for number in range(7)
        for kind in (f"user.team00{number}@pve", f"token.team00{number}@pve!ci")
    )
    groups = "".join(f"[group.team00{number}]\n[pool.team00{number}]\n" for number in range(7))
    (teams.state / "teams.toml").write_text(groups + gone)
    ended = teams.run("plan")
    assert ended.status == ExitStatus.REFUSED
    flags = re.findall(r"to allow all 7: --allow '(IRREVERSIBLE=token\.\*)'", ended.out)
    assert len(flags) == 1
    assert ended.out.index("IRREVERSIBLE") < ended.out.index("Steps")
    one_by_one = ask_json("plan", on=teams.pve, state=teams.state)["findings"]
    assert sum(one["code"] == "IRREVERSIBLE" for one in one_by_one) >= 7
    allowed = teams.run("plan", "--allow", *flags, "--allow", "IRREVERSIBLE=user.*")
    assert allowed.status == ExitStatus.OK, allowed.out


def test_any_warning_can_be_waived_with_a_reason_and_a_date(home: Path) -> None:
    teams = Teams(home, 1)
    (teams.state / "waivers.toml").write_text(
        "".join(
            f'[[waive]]\ncode = "{code}"\nreason = "as agreed"\nexpires = 2099-01-01\n'
            for code in ("EMPTY_POOL", "TOKEN_WITH_NOTHING", "LINT_PRIVSEP_OFF", "IRREVERSIBLE")
        )
    )
    for command in ("validate", "plan", "drift"):
        told = teams.run(command).out
        assert "EMPTY_POOL" not in told.replace("waiver of EMPTY_POOL", "")
        assert "LINT_PRIVSEP_OFF" not in told
        assert "waiver of IRREVERSIBLE for *: no warning or note" in " ".join(told.split())
    assert "waiver of TOKEN_WITH_NOTHING for * waives nothing" in teams.run("plan").out
    assert "waives nothing" not in teams.run("validate").out
