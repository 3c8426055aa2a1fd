"""A proposal that loosens the policy by which it is judged: the plan says so before all else."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from tests.cli.in_process import ask
from tests.support.command import copy_fixture

STRICT = """
[manage]
group = "authoritative"

[limits]
delete = { count = 2 }

[protected]
never_delete = ["user.root@pam", "pool.*"]

[lockout]
administrators = 2

[alarm]
tokens = 30

[lint]
fail = ["LINT_ADMIN_ON_TOP"]
"""
WAIVER = (
    '[[waive]]\ncode = "NOT_BACKED_UP"\naddress = "*"\nreason = "a lab"\nexpires = 2099-01-01\n'
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose only commit holds the strict settings."""
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    for name in [name for name in os.environ if name.startswith(("GITHUB_", "CI_"))]:
        monkeypatch.delenv(name)
    state = tmp_path / "state"
    state.mkdir()
    (state / "pvectl.toml").write_text(STRICT)
    (state / "a.toml").write_text('[group.ops]\n[user."ann@pve"]\ngroups = ["ops"]\n')
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.invalid")
    for words in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "-m", "first")):
        subprocess.run(["git", "-C", str(state), *who, *words], check=True)
    copy_fixture("fresh", tmp_path / "pve")
    return tmp_path


def planned(folder: Path, *words: str) -> str:
    ended = ask("plan", "--since", "HEAD", *words, on=folder / "pve", state=folder / "state")
    assert ended.status in {ExitStatus.OK, ExitStatus.REFUSED}, ended
    return " ".join(ended.out.split())


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("count = 2", "count = 20", "[limits] is weaker than at HEAD"),
        ('"user.root@pam", "pool.*"', '"user.root@pam"', "[protected] is weaker than at HEAD"),
        ("administrators = 2", "administrators = 1", "[lockout] is weaker than at HEAD"),
        ("tokens = 30", "tokens = 1", "[alarm] is weaker than at HEAD"),
        ('"LINT_ADMIN_ON_TOP"', "", "[lint] is weaker than at HEAD"),
        ('"authoritative"', '"additive"', "[manage] differs from HEAD: group"),
    ],
)
def test_each_weaker_table_is_reported(old: str, new: str, told: str, folder: Path) -> None:
    assert "WEAKER_POLICY" not in planned(folder)
    path = folder / "state" / "pvectl.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    shown = planned(folder)
    assert told in shown
    assert shown.count("WEAKER_POLICY") == 1
    assert shown.index("WEAKER_POLICY") < shown.index("Steps")


def test_what_becomes_stricter_is_not_reported(folder: Path) -> None:
    path = folder / "state" / "pvectl.toml"
    path.write_text(path.read_text().replace("count = 2", "count = 1").replace("= 30", "= 60"))
    assert "WEAKER_POLICY" not in planned(folder)


def test_settings_that_are_deleted_are_reported(folder: Path) -> None:
    (folder / "state" / "pvectl.toml").unlink()
    assert planned(folder).count("is weaker than at HEAD") >= 4


@pytest.mark.parametrize(
    ("new", "told"),
    [
        ("", "rule short is gone since HEAD, at rules.toml:1:3"),
        ('[[rule]]\nname = "short"\ntoken_lifetime = "90d"\n', "rule short is weaker since HEAD"),
        ('[[rule]]\nname = "short"\ntoken_lifetime = "7d"\n', ""),
    ],
)
def test_a_weaker_rule_is_reported(new: str, told: str, folder: Path) -> None:
    path = folder / "state" / "rules.toml"
    path.write_text('[[rule]]\nname = "short"\ntoken_lifetime = "30d"\n')
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.invalid")
    for words in (("add", "."), ("commit", "--quiet", "-m", "rules")):
        subprocess.run(["git", "-C", str(folder / "state"), *who, *words], check=True)
    path.write_text(new)
    shown = planned(folder)
    assert told in shown
    assert shown.count("WEAKER_POLICY") == bool(told)


def test_a_new_waiver_is_reported_and_waives_no_such_finding(folder: Path) -> None:
    (folder / "state" / "b.toml").write_text(WAIVER)
    assert "NOT_BACKED_UP of * is waived, but was not at HEAD" in planned(folder)
    text = (folder / "state" / "b.toml").read_text().replace("NOT_BACKED_UP", "WEAKER_POLICY")
    (folder / "state" / "b.toml").write_text(text)
    assert "WEAKER_POLICY" in planned(folder)


def test_a_state_folder_that_is_new_has_nothing_to_compare_with(folder: Path) -> None:
    new = folder / "state" / "new"
    new.mkdir()
    (new / "a.toml").write_text(f"[group.ops]\n{WAIVER}")
    (folder / "state" / ".gitignore").write_text("new/\n")
    upstream = ("update-ref", "refs/remotes/origin/HEAD", "HEAD")
    subprocess.run(["git", "-C", str(folder / "state"), *upstream], check=True)
    for words in ((), ("--since", "HEAD")):
        ended = ask("plan", *words, on=folder / "pve", state=new)
        assert ended.status == ExitStatus.OK, ended
        assert "WEAKER_POLICY" not in ended.out


def test_a_branch_is_compared_with_where_it_began(folder: Path) -> None:
    upstream = ("update-ref", "refs/remotes/origin/HEAD", "HEAD")
    subprocess.run(["git", "-C", str(folder / "state"), *upstream], check=True)
    (folder / "state" / "pvectl.toml").write_text(STRICT.replace("count = 2", "count = 20"))
    ended = ask("plan", on=folder / "pve", state=folder / "state")
    assert "[limits] is weaker than at" in ended.out, ended


EXPECT = '[[expect]]\nwho = ["ann@pve"]\npaths = ["/vms/100"]\ncannot = ["VM.Allocate"]\n'
CALL = '[[expect]]\nwho = ["ann@pve!t"]\ncall = "GET /version"\nstatus = 200\n'
WRITES = (
    '[[expect]]\nwho = "ann@pve!t"\ncall = "POST /nodes/pve/vzdump"\n'
    "params = { vmid = 100 }\nharmless = true\n"
)
NO_BACKUP = '[[no_backup]]\nguests = [100]\nreason = "a lab"\n'


def commit(folder: Path, message: str) -> None:
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.invalid")
    for words in (("add", "--all"), ("commit", "--quiet", "-m", message)):
        subprocess.run(["git", "-C", str(folder), *who, *words], check=True)


def test_an_expectation_that_is_gone_is_reported(folder: Path) -> None:
    place = folder / "state" / "expect.toml"
    place.write_text(f"{EXPECT}\n{EXPECT.replace('100', '101')}")
    commit(folder / "state", "second")
    for text in (
        EXPECT.replace("[[expect]]", '[[expect]]\nreason = "since then"'),  # the other one is gone
        f"{EXPECT}\n{EXPECT.replace('100', '101').replace('VM.Allocate', 'VM.Audit')}",
    ):
        place.write_text(text)
        assert "1 [[expect]] is gone or changed since HEAD: expect.toml:6" in planned(folder)
    place.write_text(f"{EXPECT}\n{EXPECT.replace('100', '101')}\n{WRITES}")
    assert (
        "`verify` may make POST /nodes/pve/vzdump vmid=100, which can change something"
        in planned(folder)
    )
    place.unlink()
    assert "2 [[expect]] are gone or changed since HEAD" in planned(folder)
    place.write_text(f"{EXPECT}\n{EXPECT.replace('100', '101')}\n{CALL}")
    assert "WEAKER_POLICY" not in planned(folder)


def test_guests_left_out_of_backups_are_reported(folder: Path) -> None:
    place = folder / "state" / "b.toml"
    place.write_text(NO_BACKUP)
    told = "[[no_backup]] leaves out other guests than at HEAD, or for longer"
    assert told in planned(folder)
    commit(folder / "state", "second")
    assert "WEAKER_POLICY" not in planned(folder)
    place.write_text(NO_BACKUP.replace("100", "100, 101"))
    assert told in planned(folder)


def moved_behind_a_link(state: Path) -> None:
    state.rename(state.with_name("elsewhere"))
    state.symlink_to("elsewhere")


def made_a_repository(state: Path) -> None:
    """As a submodule is: what it calls origin/HEAD is its author's."""
    subprocess.run(["git", "-C", str(state), "init", "--quiet"], check=True)
    commit(state, "the proposal's own")
    upstream = ("update-ref", "refs/remotes/origin/HEAD", "HEAD")
    subprocess.run(["git", "-C", str(state), *upstream], check=True)


def moved_to_another_folder(state: Path) -> None:
    (state / "sub").mkdir()
    (state / "a.toml").rename(state / "sub" / "a.toml")
    text = (state / "pvectl.toml").read_text()
    (state / "pvectl.toml").write_text(f'[target]\nfolder = "sub"\n{text}')


@pytest.mark.parametrize(
    "move", [moved_behind_a_link, made_a_repository, moved_to_another_folder, None]
)
def test_files_that_are_moved_are_compared_anyway(
    move: Callable[[Path], None] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repository around the folder, and its history, are none of the proposal."""
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GITHUB_BASE_REF", raising=False)
    checkout, pve = tmp_path / "checkout", copy_fixture("fresh", tmp_path / "pve")
    state = checkout / "state"
    state.mkdir(parents=True)
    (state / "pvectl.toml").write_text(STRICT)
    (state / "a.toml").write_text('[group.ops]\n[user."ann@pve"]\n')
    subprocess.run(["git", "-C", str(checkout), "init", "--quiet"], check=True)
    commit(checkout, "first")
    upstream = ("update-ref", "refs/remotes/origin/HEAD", "HEAD")
    subprocess.run(["git", "-C", str(checkout), *upstream], check=True)
    assert ask("apply", "--yes", on=pve, state=state).status == ExitStatus.OK
    (state / "pvectl.toml").write_text(STRICT.replace("count = 2", "count = 20"))
    (state / "a.toml").write_text("[group.ops]\n")
    if move is not None:
        move(state)
    ended = ask("plan", on=pve, state=state)
    assert "[limits] is weaker than at" in ended.out, ended
    assert "1 object is no longer declared and stays: user.ann@pve" in " ".join(ended.out.split())
