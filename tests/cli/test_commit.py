"""Plans and reports name the commit of the files."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.cli.state_folder.commit import UNCOMMITTED, commit_of, files_at, places

COMMIT = "5f2b8424a3c1d0e9f8a7b6c5d4e3f2a1b0c9d8e7"


def branch(git: Path) -> None:
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "refs" / "heads" / "main").write_text(f"{COMMIT}\n")


def packed(git: Path) -> None:
    git.mkdir()
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "packed-refs").write_text(f"# pack-refs with: peeled\n{COMMIT} refs/heads/main\n")


def detached(git: Path) -> None:
    git.mkdir()
    (git / "HEAD").write_text(f"{COMMIT}\n")


def worktree(git: Path) -> None:
    whole = git.parent.parent / "whole" / ".git"
    branch(whole)
    own = whole / "worktrees" / "w"
    own.mkdir(parents=True)
    (own / "HEAD").write_text("ref: refs/heads/main\n")
    (own / "commondir").write_text("../..\n")
    git.write_text(f"gitdir: {own}\n")


@pytest.mark.parametrize("make", [branch, packed, detached, worktree])
def test_the_commit_around_a_state_folder_is_found(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    folder = tmp_path / "checkout" / "state"
    folder.mkdir(parents=True)
    make(folder.parent / ".git")
    assert commit_of(folder) == COMMIT


def test_a_folder_under_no_version_control_has_none(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    assert commit_of(tmp_path) == ""


@pytest.mark.parametrize("place", ["HEAD", "refs/heads/main", "packed-refs", "commondir"])
def test_what_is_not_a_commit_is_not_reported(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link of .git may lead to any file of the machine; a pipe never ends."""
    git, secret = tmp_path / ".git", tmp_path / "secret"
    secret.write_text("hunter2 refs/heads/main\n")
    branch(git)
    if place != "HEAD":
        (git / "refs" / "heads" / "main").unlink()
    (git / place).unlink(missing_ok=True)
    (git / place).symlink_to(secret)
    assert commit_of(tmp_path) == ""
    for content in (b"\xff\xfe", b"x" * 100):
        secret.write_bytes(content)
        assert commit_of(tmp_path) == ""
    secret.unlink()
    os.mkfifo(secret)
    monkeypatch.setattr("reconciler.cli.state_folder.commit.PATIENCE", 0.1)
    assert commit_of(tmp_path) == ""


def _git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.invalid")
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git to be asked")
def test_files_that_differ_from_the_commit_are_reported(tmp_path: Path) -> None:
    state = tmp_path / "state"
    (state / "secrets").mkdir(parents=True)
    (state / "a.toml").write_text("[group.a]\n")
    (tmp_path / ".gitignore").write_text("secrets/\nmine.toml\n")
    _git(tmp_path, "init", "--quiet")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "--quiet", "--message", "first")
    commit = commit_of(state)
    assert len(commit) == 40

    (state / "secrets" / "token").write_text("x")
    (state / "plan.json").write_text("{}")
    (tmp_path / "other.toml").write_text("")
    assert commit_of(state) == commit

    for name in ("a.toml", "new.toml", "mine.toml"):
        before = (state / name).read_text() if (state / name).exists() else None
        (state / name).write_text("[group.b]\n")
        assert commit_of(state) == commit + UNCOMMITTED
        if before is None:
            (state / name).unlink()
        else:
            (state / name).write_text(before)
    (state / "a.toml").unlink()
    assert commit_of(state) == commit + UNCOMMITTED


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git to be asked")
def test_no_program_runs_that_the_state_folder_names(tmp_path: Path) -> None:
    """Neither as a monitor, nor from a repository that lies among the state files."""
    state, started = tmp_path / "state", tmp_path / "started"
    _git(tmp_path, "init", "--quiet")
    _git(tmp_path, "init", "--quiet", "--bare", "state")
    (state / "a.toml").write_text("[group.a]\n")
    (state / ".gitattributes").write_text("*.toml filter=x\n")
    for key in ("core.fsmonitor", "filter.x.clean"):
        _git(state, "config", key, f"touch {started}")
    _git(state, "config", "core.bare", "false")
    _git(state, "config", "core.worktree", str(state))
    _git(state, "add", "a.toml")
    (state / "a.toml").write_text("[group.b]\n")
    _git(tmp_path, "add", "--force", "state/a.toml")
    _git(tmp_path, "commit", "--quiet", "--message", "first")
    _git(tmp_path, "config", "core.fsmonitor", f"touch {started}")
    started.unlink(missing_ok=True)
    assert len(commit_of(state)) >= 40
    assert not started.exists()


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git to be asked")
def test_no_filter_runs_of_a_repository_that_is_the_state_folder(tmp_path: Path) -> None:
    started = tmp_path / "started"
    state = tmp_path / "state"
    state.mkdir()
    (state / "a.toml").write_text("[group.a]\n")
    _git(state, "init", "--quiet")
    _git(state, "add", ".")
    _git(state, "commit", "--quiet", "--message", "first")
    assert not commit_of(state).endswith(UNCOMMITTED)
    for key in ("filter.x.clean", "filter.x.process"):
        _git(state, "config", key, f"touch {started}; cat")
    (state / ".gitattributes").write_text("*.toml filter=x\n")
    (state / "a.toml").write_text("[group.b]\n")
    assert commit_of(state).endswith(UNCOMMITTED)
    assert not started.exists()


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git to be asked")
@pytest.mark.parametrize("name", ["x", "a.b", "with=sign"])
def test_no_filter_runs_however_it_is_called(name: str, tmp_path: Path) -> None:
    """Nor does one that is required, nor a hook; nothing is written into the repository."""
    started, state = tmp_path / "started", tmp_path / "state"
    state.mkdir()
    (state / "a.toml").write_text("[group.a]\n")
    _git(state, "init", "--quiet")
    _git(state, "add", ".")
    _git(state, "commit", "--quiet", "--message", "first")
    hook = state / ".git" / "hooks" / "post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {started}\n")
    hook.chmod(0o755)
    with (state / ".git" / "config").open("a") as config:
        config.write(f'[filter "{name}"]\n\tclean = touch {started}\n')
        config.write(f"\tprocess = touch {started}\n\trequired = true\n")
    (state / ".gitattributes").write_text(f"*.toml filter={name}\n")
    (state / "a.toml").write_text("[group.b]\n")
    index = (state / ".git" / "index").read_bytes()
    assert commit_of(state).endswith(UNCOMMITTED)
    assert not started.exists()
    assert (state / ".git" / "index").read_bytes() == index


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git to be asked")
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GIT_DIR", "/nowhere"),
        ("GIT_COMMON_DIR", "/nowhere"),
        ("GIT_OBJECT_DIRECTORY", "/nowhere"),
        ("GIT_LITERAL_PATHSPECS", "1"),
        ("GIT_CONFIG", "/dev/null"),
    ],
)
def test_variables_of_git_do_not_lead_it_elsewhere(
    variable: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = tmp_path / "started"
    (tmp_path / "a.toml").write_text("[group.a]\n")
    _git(tmp_path, "init", "--quiet")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "--quiet", "--message", "first")
    commit = commit_of(tmp_path)
    _git(tmp_path, "config", "filter.x.clean", f"touch {started}; cat")
    (tmp_path / ".gitattributes").write_text("*.toml filter=x\n")
    (tmp_path / "a.toml").write_text("[group.b]\n")
    monkeypatch.setenv(variable, value)
    assert commit_of(tmp_path) == commit + UNCOMMITTED
    assert not started.exists()


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git to be asked")
def test_a_partial_clone_fetches_nothing(tmp_path: Path) -> None:
    """The file that it lacks would come from wherever, and through whatever, its settings say."""
    started = tmp_path / "started"
    (tmp_path / "a.toml").write_text("[group.a]\n")
    _git(tmp_path, "init", "--quiet")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "--quiet", "--message", "first")
    asked = ["git", "-C", str(tmp_path), "rev-parse", "HEAD:a.toml"]
    name = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    (tmp_path / ".git" / "objects" / name[:2] / name[2:]).unlink()
    with (tmp_path / ".git" / "config").open("a") as config:
        config.write("[core]\n\trepositoryformatversion = 1\n[extensions]\n")
        config.write('\tpartialclone = origin\n[protocol "ext"]\n\tallow = always\n')
        config.write(f'[remote "origin"]\n\turl = "ext::touch {started}"\n\tpromisor = true\n')
    assert files_at(places(tmp_path)[0], "HEAD") is None
    assert not started.exists()


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git to be asked")
def test_git_does_not_inherit_the_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text(f"{COMMIT}\n")
    stand_in = tmp_path / "bin" / "git"
    stand_in.parent.mkdir()
    stand_in.write_text(f"#!/bin/sh\nenv > {tmp_path}/environment\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:/usr/bin:/bin")
    monkeypatch.setenv("PVECTL_TOKEN_SECRET", "a-secret-of-pvectl")
    commit_of(tmp_path)
    environment = (tmp_path / "environment").read_text()
    assert "GIT_NO_LAZY_FETCH" in environment
    assert "a-secret-of-pvectl" not in environment
