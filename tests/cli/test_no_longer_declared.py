"""A table that is deleted from a state file deletes nothing, and is told."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from tests.cli.in_process import ask
from tests.support.command import Ended, copy_fixture

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git to be asked")
BOB, OPS = '[user."bob@pve"]\n', "[group.ops]\n"
BUILT_IN = '[user."root@pam"]\n[realm.pam]\n[realm.pve]\n[storage.local]\n'
"""Proxmox VE's own: no table can delete them, so that nobody is told to write one."""
CODE = "NO_LONGER_DECLARED"


class House:
    """Two objects besides the built-in ones, applied; `run` works on them in this process."""

    def __init__(self, folder: Path) -> None:
        self.pve = copy_fixture("team", folder / "pve")
        self.state = folder / "state"
        self.state.mkdir()
        (self.state / "a.toml").write_text(BOB + OPS + BUILT_IN)
        assert self.run("apply", "--yes").status == ExitStatus.OK

    def run(self, *arguments: object) -> Ended:
        return ask(*arguments, on=self.pve, state=self.state)

    def git(self, *words: str) -> None:
        who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.invalid")
        subprocess.run(["git", "-C", str(self.state), *who, *words], check=True, text=True)

    def commit(self) -> None:
        self.git("init", "--quiet")
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", "first")


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    for name in [name for name in os.environ if name.startswith(("GITHUB_", "CI_"))]:
        monkeypatch.delenv(name)
    return House(tmp_path)


@needs_git
def test_files_of_a_commit_tell_what_left(house: House) -> None:
    house.commit()
    (house.state / "a.toml").write_text(OPS)
    for command in ("plan", "validate", "drift"):
        told = house.run(command, "--since", "HEAD").out
        assert "1 object is no longer declared and stays: user.bob@pve" in " ".join(told.split())
        assert 'address = "user.bob@pve"' in told
    wrong = house.run("plan", "--since", "--output=x")
    assert wrong.status == ExitStatus.USAGE


@needs_git
def test_without_a_branch_to_compare_with_what_is_not_committed_is_told(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.commit()
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "another home"))
    assert CODE not in house.run("validate").out + house.run("plan").out
    (house.state / "a.toml").write_text(OPS)
    for command, again in (
        ("validate", "removed --since HEAD"),
        ("plan", "removed"),
        ("drift", "removed"),
    ):
        told = house.run(command).out
        assert "1 object is no longer declared and stays: user.bob@pve" in " ".join(told.split())
        assert ("--since HEAD" in told) is ("HEAD" in again)
        assert "bob@pve" in house.run(*again.split()).out


@needs_git
@pytest.mark.parametrize("variable", ["", "GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME"])
def test_a_branch_is_compared_with_where_it_began(
    house: House, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.commit()
    house.git("update-ref", f"refs/remotes/origin/{'release/9' if variable else 'HEAD'}", "HEAD")
    if variable:
        monkeypatch.setenv(variable, "release/9")
    (house.state / "a.toml").write_text(OPS)
    house.git("commit", "--quiet", "--all", "--message", "second")
    assert CODE in house.run("validate").out


def test_this_machine_remembers_what_it_applied(house: House) -> None:
    assert CODE not in house.run("plan").out
    (house.state / "a.toml").write_text("")
    told = " ".join(house.run("plan").out.split())
    assert "the state files no longer declare anything; 2 objects are no longer declared" in told


def test_the_tables_are_written_and_delete_what_left(house: House) -> None:
    (house.state / "a.toml").write_text(OPS)
    (house.state / "removed.toml").write_text("# kept")
    assert house.run("removed").out == '[[removed]]\naddress = "user.bob@pve"\n'
    assert house.run("removed", "--write").status == ExitStatus.OK
    written = (house.state / "removed.toml").read_text()
    assert written == '# kept\n\n[[removed]]\naddress = "user.bob@pve"\n'
    flag = "IRREVERSIBLE=user.bob@pve"
    assert house.run("apply", "--yes", "--allow", flag).status == ExitStatus.OK
    assert "bob@pve" not in (house.pve / "user.cfg").read_text()
    (house.state / "removed.toml").unlink()
    assert house.run("removed").out == ""
    assert CODE not in house.run("plan").out


def test_what_is_excluded_stays_on_purpose(house: House) -> None:
    (house.state / "a.toml").write_text(OPS)
    (house.state / "pvectl.toml").write_text('[manage]\nuser = { exclude = ["bob@pve"] }\n')
    assert CODE not in house.run("plan").out


GLOB = '[[removed]]\naddress = "group.team-*"\n'


def test_a_glob_deletes_what_matches_and_is_not_declared(house: House) -> None:
    """Neither what is declared nor what is excluded."""
    names = ("team-a", "team-b", "team-kept", "other")
    (house.state / "a.toml").write_text("".join(f"[group.{name}]\n" for name in names))
    assert house.run("apply", "--yes").status == ExitStatus.OK
    (house.state / "a.toml").write_text("[group.team-a]\n" + GLOB)
    (house.state / "pvectl.toml").write_text('[manage]\ngroup = { exclude = ["team-kept"] }\n')
    plan = house.run("plan")
    assert "0 to create, 0 to change, 1 to delete" in plan.out, plan
    assert "[[removed]] in a.toml:2" in plan.out
    told = " ".join(plan.out.split())
    assert "3 objects are no longer declared and stay: group.ops, group.other, user.bob" in told
    assert house.run("apply", "--yes").status == ExitStatus.OK
    assert "team-b" not in (house.pve / "user.cfg").read_text()
    assert all(f"group:{name}:" in (house.pve / "user.cfg").read_text() for name in names[2:])
    assert house.run("plan", "--detailed-exitcode").status == ExitStatus.OK


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[removed]]\naddress = "group.*"\n', "would delete every group that is not declared"),
        ('[[removed]]\naddress = "*.x"\n', "there is no kind '*'"),
        (GLOB + GLOB, "group.team-* is removed twice"),
        (
            GLOB + '[[acl]]\nroles = ["PVEAdmin"]\npaths = ["/"]\ngroups = ["team-x"]\n',
            "names group.team-x, which is removed at a.toml:1",
        ),
    ],
)
def test_a_glob_that_means_too_much_is_refused(house: House, text: str, said: str) -> None:
    (house.state / "a.toml").write_text(text)
    ended = house.run("plan")
    assert ended.status == ExitStatus.FILES_INVALID
    assert said in ended.err


@needs_git
def test_a_merge_request_of_gitlab_names_its_base(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.commit()
    words = ["git", "-C", str(house.state), "rev-parse", "HEAD"]
    base = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    monkeypatch.setenv("CI_MERGE_REQUEST_DIFF_BASE_SHA", base)
    (house.state / "a.toml").write_text(OPS)
    house.git("commit", "--quiet", "--all", "--message", "second")
    assert CODE in house.run("validate").out


@needs_git
@pytest.mark.parametrize("variable", ["GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME"])
def test_a_shallow_clone_says_what_it_lacks(
    house: House, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.commit()
    (house.state / "a.toml").write_text(OPS)
    house.git("commit", "--quiet", "--all", "--message", "second")
    shallow = tmp_path / "shallow"
    words = ("git", "clone", "--quiet", "--depth=1", f"file://{house.state}", str(shallow))
    subprocess.run(words, check=True)
    shutil.rmtree(house.state)
    shallow.rename(house.state)
    assert "NO_MERGE_BASE" not in house.run("validate").out
    monkeypatch.setenv(variable, "release/9")
    for command in ("validate", "plan"):
        told = " ".join(house.run(command).out.split())
        assert "left release/9 is not in this clone, which is shallow" in told
        assert "`git fetch --unshallow origin release/9`" in told


@needs_git
def test_apply_compares_with_a_commit_as_plan_does(house: House) -> None:
    house.commit()
    (house.state / "a.toml").write_text(OPS)
    assert "1 object is no longer declared" in " ".join(
        house.run("apply", "--yes", "--since", "HEAD").out.split()
    )
    assert house.run("plan", "--out", house.state / "p.json").status == ExitStatus.OK
    saved = house.run("apply", house.state / "p.json", "--since", "HEAD")
    assert saved.status == ExitStatus.USAGE
