"""Teams from one list, through the installed command."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from tests.cli.site import Site
from tests.cli.test_no_longer_declared import House, house, needs_git

__all__ = ["house"]

TEAMS = """include = ["base/*.toml"]

[[each]]
team = ["red", "blue"]

[each.group."${team}-ops"]
comment = "operators of ${team}"

[each.pool."${team}"]

[[each.acl]]
groups = ["${team}-ops"]
roles = ["PVEVMAdmin"]
paths = ["/pool/${team}"]
"""
USERS = '[user."ann@pve"]\ngroups = ["red-ops"]\n'


def with_teams(site: Site) -> None:
    site.write("teams.toml", TEAMS)
    (site.state / "base").mkdir()
    (site.state / "base" / "people.toml").write_text(USERS)


def test_a_plan_names_the_value_and_applies_it(site: Site) -> None:
    with_teams(site)
    plan = site.run("plan")
    assert plan.status == ExitStatus.OK, plan
    assert "teams.toml:6 for team = red (teams.toml:4:9)" in " ".join(plan.out.split())
    assert site.run("apply", "--yes").status == ExitStatus.OK
    assert "group:blue-ops::operators of blue:" in site.user_cfg()
    assert site.run("plan", "--detailed-exitcode").status == ExitStatus.OK


def test_what_is_shown_plans_the_same(site: Site) -> None:
    with_teams(site)
    steps = site.run("plan").out.partition("Steps\n")[2]
    shown = site.run("show", "files")
    assert shown.status == ExitStatus.OK, shown
    assert "# teams.toml for team = blue (teams.toml:4:16)" in shown.out
    site.write("teams.toml", shown.out)
    assert "teams.toml" not in site.run("fmt", "--check").out
    again = site.run("plan").out.partition("Steps\n")[2]
    assert steps.count("\n") > 10
    assert len(again.splitlines()) == len(steps.splitlines())
    assert site.run("show", "fils").status == ExitStatus.USAGE


def test_a_mistake_in_the_files_is_shown_instead_of_them(site: Site) -> None:
    site.write("teams.toml", TEAMS.replace("${team}-ops", "${taem}-ops", 1))
    ended = site.run("show", "files")
    assert ended.status == ExitStatus.FILES_INVALID
    assert ended.out == ""
    assert "did you mean team?" in ended.err


def test_an_import_adds_what_no_template_declares(site: Site) -> None:
    """Twice, and the second time there is nothing left."""
    with_teams(site)
    assert site.run("apply", "--yes").status == ExitStatus.OK
    site.edit("user.cfg", "", "group:others::made by hand:\n")
    site.write("groups.toml", "# ours\n[group.green-ops]\n")
    before = (site.state / "teams.toml").read_bytes()
    imported = site.run("import", "group")
    assert imported.status == ExitStatus.OK, imported
    text = (site.state / "groups.toml").read_text()
    assert text.startswith("# ours\n[group.green-ops]\n\n")
    assert "[group.others]" in text
    assert "red" not in text
    assert "ann@pve" not in text
    assert (site.state / "teams.toml").read_bytes() == before
    assert site.run("validate").status == ExitStatus.OK
    again = site.run("import", "group")
    assert again.status == ExitStatus.OK
    assert (site.state / "groups.toml").read_text() == text
    site.write("groups.toml", text.replace("[group.green-ops]\n", ""))
    assert site.run("plan", "--detailed-exitcode").status == ExitStatus.OK


def test_included_files_are_formatted_and_count_for_strict(site: Site) -> None:
    with_teams(site)
    site.run("fmt")
    people = site.state / "base" / "people.toml"
    assert site.run("plan", "--out", "plan.json").status == ExitStatus.OK
    people.write_text(USERS + '[user."bob@pve"]\n')
    strict = site.run("apply", "plan.json", "--strict", "--yes")
    assert strict.status == ExitStatus.STALE
    assert "base/people.toml" in strict.err
    assert site.run("fmt", "--check").out.splitlines() == [
        "state/base/people.toml",
    ]
    assert site.run("fmt").status == ExitStatus.OK
    assert people.read_text() == USERS + '\n[user."bob@pve"]\n'
    assert site.run("fmt", "--check").status == ExitStatus.OK


@needs_git
def test_a_team_that_leaves_the_list_is_reported(house: House) -> None:
    shutil.rmtree(house.state)
    (house.state / "base").mkdir(parents=True)
    (house.state / "base" / "people.toml").write_text(USERS)
    (house.state / "teams.toml").write_text(TEAMS)
    house.commit()
    assert house.run("apply", "--yes").status == ExitStatus.OK
    (house.state / "teams.toml").write_text(TEAMS.replace(', "blue"', ""))
    told = house.run("plan", "--since", "HEAD")
    words = " ".join(told.out.split())
    assert "3 objects are no longer declared and stay" in words
    assert "blue-ops" in words
    (house.state / "base" / "people.toml").write_text("")
    words = " ".join(house.run("plan", "--since", "HEAD").out.split())
    assert "4 objects are no longer declared and stay" in words
    removed = house.run("removed", "--since", "HEAD", "--write")
    assert removed.status == ExitStatus.OK
    assert 'address = "pool.blue"' in (house.state / "removed.toml").read_text()


@needs_git
def test_a_team_that_leaves_the_settings_is_reported_in_ci(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    teams = TEAMS.replace('["red", "blue"]', '"${teams}"').replace('include = ["base/*.toml"]', "")
    (house.state / "a.toml").write_text(teams)
    (house.state / "pvectl.toml").write_text('[target]\nvars = { teams = ["red", "blue"] }\n')
    house.commit()
    (house.state / "pvectl.toml").write_text('[target]\nvars = { teams = ["red"] }\n')
    assert house.run("apply", "--yes").status == ExitStatus.OK
    (house.state / "pvectl.toml").write_text('[target]\nvars = { teams = ["red", "blue"] }\n')
    assert house.run("apply", "--yes").status == ExitStatus.OK
    (house.state / "pvectl.toml").write_text('[target]\nvars = { teams = ["red"] }\n')
    monkeypatch.setenv("CI", "true")
    told = house.run("validate", "--since", "HEAD")
    assert "3 objects are no longer declared" in " ".join(told.out.split()), told


@needs_git
def test_a_baseline_beside_the_state_folder_is_a_part_of_the_commit(
    house: House, tmp_path: Path
) -> None:
    """In the repository, but outside the folder: also when it was changed since."""
    baseline = tmp_path / "baseline"
    baseline.mkdir()
    (baseline / "groups.toml").write_text("[group.ops]\n[group.dev]\n")
    (house.state / "a.toml").write_text('include = ["../baseline/groups.toml"]\n')
    house.git("-C", str(tmp_path), "init", "--quiet")
    house.git("add", str(baseline), ".")
    house.git("commit", "--quiet", "--message", "first")
    assert house.run("apply", "--yes").status == ExitStatus.OK
    clean = house.run("plan").out
    (baseline / "groups.toml").write_text("[group.ops]\n")
    told = house.run("plan", "--since", "HEAD").out
    assert "1 object is no longer declared and stays: group.dev" in " ".join(told.split())
    assert "uncommitted changes" not in clean
    assert "uncommitted changes" in told
