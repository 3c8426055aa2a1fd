"""A proposal that loosens the policy by which it is judged: the plan says so before all else."""

from __future__ import annotations

import os
import subprocess
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
fail = ["LINT_ADMIN_ON_ROOT"]
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
        ('"LINT_ADMIN_ON_ROOT"', "", "[lint] is weaker than at HEAD"),
        ('"authoritative"', '"additive"', "[manage] differs from that at HEAD: group"),
    ],
)
def test_each_table_that_asks_for_less_is_told(old: str, new: str, told: str, folder: Path) -> None:
    assert "WEAKER_POLICY" not in planned(folder)
    path = folder / "state" / "pvectl.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    shown = planned(folder)
    assert told in shown
    assert shown.count("WEAKER_POLICY") == 1
    assert shown.index("WEAKER_POLICY") < shown.index("Steps")


def test_what_becomes_stricter_is_not_told(folder: Path) -> None:
    path = folder / "state" / "pvectl.toml"
    path.write_text(path.read_text().replace("count = 2", "count = 1").replace("= 30", "= 60"))
    assert "WEAKER_POLICY" not in planned(folder)


def test_settings_that_are_deleted_are_told(folder: Path) -> None:
    (folder / "state" / "pvectl.toml").unlink()
    assert planned(folder).count("is weaker than at HEAD") >= 4


def test_a_new_waiver_is_told_and_waives_no_such_finding(folder: Path) -> None:
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
