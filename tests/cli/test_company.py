"""The year of `examples/company`, over HTTPS: nothing lost, nothing brought back, all told."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from tests.cli.site import Site
from tests.support.command import Ended

EXAMPLE = Path(__file__).parents[2] / "examples" / "company"
SECRETS = ("red-ci", "blue-ci")

KILLS_ONCE = """
[user."green-robot@pve".token.t1]
secret_to = { command = ["sh", "-c", "test ! -e armed || { rm armed; kill -9 $PPID; }; cat > out"] }
"""
"""A sink that kills the apply when it is called for the first time."""


@pytest.fixture
def company(site: Site) -> Site:
    """The example, applied, and its directory copied for the first time."""
    shutil.copytree(EXAMPLE, site.state, dirs_exist_ok=True)
    settings = (EXAMPLE / "pvectl.toml").read_text()
    site.settings = settings[settings.index("[manage]") :]
    site.env["LDAP_BIND_PASSWORD"] = "correct-horse-battery"
    site.target()
    applied = site.run("apply", "--yes")
    assert applied.status == ExitStatus.OK, applied
    site.edit("user.cfg", "group:red-corp::", "group:red-corp:carol@corp,dave@corp:")
    site.edit("user.cfg", "", "user:carol@corp:1:0::::::\nuser:dave@corp:1:0::::::\n")
    assert site.run("drift", "--acknowledge").status in (ExitStatus.OK, ExitStatus.CHANGES)
    assert_settled(site)
    return site


def words(ended: Ended) -> str:
    return " ".join((ended.out + ended.err).split())


def assert_settled(site: Site, drift: int = ExitStatus.OK) -> Ended:
    """No plan, no apply that writes, and the drift that is expected; returns its report."""
    before = site.cluster_files()
    plan = site.run("plan", "--detailed-exitcode")
    assert plan.status == ExitStatus.OK, plan
    assert site.run("apply", "--yes").status == ExitStatus.OK
    assert site.cluster_files() == before
    report = site.run("drift")
    assert report.status == drift, report
    return report


def test_terraform_adds_a_guest_and_it_stays(company: Site) -> None:
    pool = re.compile(r"^pool:red:(.*?):(.*?):", re.M)
    text = company.user_cfg()
    found = pool.search(text)
    assert found is not None
    company.edit("user.cfg", found[0], f"pool:red:{found[1]}:9001:")
    assert_settled(company)
    found = pool.search(company.user_cfg())
    assert found is not None
    assert found[2] == "9001"


def test_who_leaves_the_directory_is_not_brought_back(company: Site) -> None:
    company.edit("user.cfg", "user:carol@corp:1:0::::::\n", "")
    company.edit("user.cfg", "group:red-corp:carol@corp,dave@corp:", "group:red-corp:dave@corp:")
    assert_settled(company)
    assert "carol" not in company.user_cfg()


def test_an_account_that_is_disabled_by_hand_stays_so_and_is_reported(company: Site) -> None:
    company.edit("user.cfg", "user:ann@pve:1:", "user:ann@pve:0:")
    assert "ann@pve" in assert_settled(company, ExitStatus.CHANGES).out
    assert "user:ann@pve:0:" in company.user_cfg()


def test_a_team_that_is_deleted_from_the_files_is_reported_and_removed_on_request(
    company: Site,
) -> None:
    teams = (company.state / "teams.toml").read_text()
    without = "".join(line for line in teams.splitlines(True) if '"blue"' not in line)
    company.write("teams.toml", without)
    for command in ("plan", "drift"):
        assert "no longer declared and stay" in words(company.run(command))
    assert_settled(company, company.run("drift").status)
    assert "blue-ci@pve" in company.user_cfg()

    assert company.run("removed", "--write").status == ExitStatus.OK
    refused = company.run("apply", "--yes")
    assert refused.status == ExitStatus.REFUSED, "tokens and accounts cannot be restored"
    allow = ("--allow", "IRREVERSIBLE=*blue-ci*", "--allow", "IRREVERSIBLE=user.bob@pve")
    plan = company.run("plan", *allow)
    assert plan.status == ExitStatus.OK, plan
    assert "blue-ci@pve!ci" in plan.out
    assert not re.search(r"\bred\b", plan.out.partition("Steps\n")[2].partition("\nNot managed")[0])
    red = [line for line in company.user_cfg().splitlines() if "red" in line]
    applied = company.run("apply", "--yes", *allow)
    assert applied.status == ExitStatus.OK, applied
    assert "its secret, useless now, is still in file secrets/blue-ci" in words(applied)
    assert "blue-ci" not in company.user_cfg()
    assert [line for line in company.user_cfg().splitlines() if "red" in line] == red


def test_a_token_is_rotated_and_keeps_what_it_may_do(company: Site) -> None:
    file = company.state / "secrets" / "red-ci"
    entries = [line for line in company.user_cfg().splitlines() if line.startswith("acl:")]
    before = file.read_text().strip()
    rotated = company.run("rotate", "red-ci@pve!ci", "--yes")
    assert rotated.status == ExitStatus.OK, rotated
    after = file.read_text().strip()
    assert before != after
    assert not any(secret in rotated.out + rotated.err for secret in (before, after))
    assert [line for line in company.user_cfg().splitlines() if line.startswith("acl:")] == entries
    as_token = {"PVECTL_TOKEN_ID": "red-ci@pve!ci"}
    refused = company.run("plan", env={**as_token, "PVECTL_TOKEN_SECRET": before})
    assert refused.status == ExitStatus.UNREACHABLE, refused
    admitted = company.run("plan", env={**as_token, "PVECTL_TOKEN_SECRET": after})
    assert admitted.status == ExitStatus.BLIND, admitted
    assert_settled(company)


def test_an_apply_that_is_killed_is_finished(company: Site) -> None:
    teams = (company.state / "teams.toml").read_text()
    green = '    { name = "green", lead = "eve@pve", envs = [] },\n]'
    company.write("teams.toml", teams.replace("\n]", f"\n{green}"))
    company.write("robot.toml", '[user."green-robot@pve"]\n' + KILLS_ONCE)
    (company.state / "armed").touch()
    assert company.run("apply", "--yes").status == -9
    stopped = company.run("status")
    assert stopped.status == ExitStatus.UNFINISHED
    assert re.match(r"Stopped at step \d+ of \d+: ", stopped.out), stopped
    assert "pvectl resume" in stopped.out
    assert company.run("apply", "--yes").status == ExitStatus.UNFINISHED
    resumed = company.run("resume")
    assert resumed.status == ExitStatus.OK, resumed
    assert "group:green-corp:" in company.user_cfg()
    assert "carol@corp,dave@corp" in company.user_cfg()
    assert_settled(company)
    secrets = [(company.state / "secrets" / name).read_text().strip() for name in SECRETS]
    told = stopped.out + stopped.err + resumed.out + resumed.err
    assert not any(secret in told for secret in secrets)
