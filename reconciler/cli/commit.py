"""The commit of a state folder, and whether its files are those of that commit."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from reconciler.model.secret import without_credentials

UNCOMMITTED = " + uncommitted changes"

PATIENCE = 5
"""Seconds for which git is waited for."""

_QUIET = ("core.fsmonitor=false", "core.hooksPath=/dev/null", "protocol.allow=never")
_NO_PROPOSED_REPOSITORY = "safe.bareRepository=explicit"

_ELSEWHERE = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}
"""With these, which hooks get, git would speak of another place than the folder."""

_FILE = "100"
"""How the modes of files begin in a tree; links, folders and submodules have others."""


_FILTERS = r"^filter\..*\.(clean|smudge|process|required)$"
"""The settings of a repository that name programs through which `git status` would pass files."""


def commit_of(folder: Path, included: Iterable[str] = ()) -> str:
    """The commit that is checked out around a folder, or "".

    Git says so, and whether the state files, or the files `included` as seen from the folder, are
    others than those of that commit; where it cannot
    be asked the commit is read from .git. Nobody vouches for files with a filter that no option of
    git can take away.
    """
    for parent in (folder.resolve(), *folder.resolve().parents):
        git = parent / ".git"
        if git.exists():
            filters = _filters(folder)
            if any("=" in name for name in filters):
                return _head(git) + UNCOMMITTED
            inside = [
                f":(literal){name}"
                for name in included
                if (folder / name).resolve().is_relative_to(parent)
            ]
            return _status(folder, filters, inside) or _head(git)
    return ""


def _status(folder: Path, filters: Sequence[str], besides: Sequence[str]) -> str:
    """The commit, and whether `*.toml` of the folder, or what `besides` names, are changed, new,
    ignored or gone; "" where git cannot tell.

    Nothing is written, and no program runs that the repository names: a state folder may be
    somebody else's proposal.
    """
    rows = _git(
        folder,
        *("status", "--porcelain=v2", "--branch", "-z", "--no-renames", "--untracked-files=all"),
        *("--ignored=traditional", "--ignore-submodules=all", "--", ":(glob)*.toml", *besides),
        settings=[f"{name}={'false' if name.endswith('.required') else ''}" for name in filters],
    )
    commit, changed = "", False
    for row in os.fsdecode(rows or b"").split("\0"):
        if row.startswith("# branch.oid "):
            commit = row.removeprefix("# branch.oid ")
        changed = changed or (not row.startswith("#") and row != "")
    if commit in {"", "(initial)"}:
        return ""
    return commit + UNCOMMITTED if changed else commit


def _filters(folder: Path) -> list[str]:
    """The names of all settings of filters."""
    names = _git(folder, "config", "--null", "--name-only", "--get-regexp", _FILTERS)
    return [name for name in os.fsdecode(names or b"").split("\0") if name]


def _committed(folder: Path, ref: str, place: str) -> dict[str, tuple[str, str]] | None:
    """The `*.toml` of a folder in a commit -> mode and name of the blob; None: not known.
    `place`: of the folder that is meant, as seen from `folder`."""
    there = [f"{place}/"] if place not in {"", "."} else []
    rows = _git(folder, "ls-tree", "-z", "--end-of-options", ref, *there)
    if rows is None:
        return None
    found: dict[str, tuple[str, str]] = {}
    for row in os.fsdecode(rows).split("\0"):
        about, _, path = row.partition("\t")
        name = path.rpartition("/")[2]
        if name.endswith(".toml"):
            mode, _, blob = about.split(" ")
            found[name] = (mode, blob)
    return found


def files_at(folder: Path, ref: str, place: str = "") -> dict[str, bytes] | None:
    """Name -> content of the `*.toml` of a folder in a commit; None where git cannot tell.

    `place`: of the folder that is meant, as seen from `folder`. Links are left out: what they
    lead to is not a part of the commit's folder.
    """
    rows = _committed(folder, ref, place)
    if rows is None:
        return None
    blobs = {name: blob for name, (mode, blob) in rows.items() if mode.startswith(_FILE)}
    asked = "".join(f"{blob}\n" for blob in blobs.values()).encode()
    answer = _git(folder, "cat-file", "--batch", given=asked) if blobs else b""
    try:
        return None if answer is None else dict(zip(blobs, _contents(answer), strict=True))
    except ValueError:  # a blob that a partial clone lacks
        return None


def _contents(answer: bytes) -> Iterator[bytes]:
    """What `git cat-file --batch` prints of blobs that exist: `NAME blob SIZE`, and the content."""
    while answer:
        head, _, rest = answer.partition(b"\n")
        size = int(head.rpartition(b" ")[2])
        yield rest[:size]
        answer = rest[size + 1 :]


def merge_base(folder: Path, ref: str) -> str:
    """The commit at which HEAD and `ref`, a full name, parted; "" where git knows none."""
    found = _git(folder, "merge-base", "HEAD", ref)
    return "" if found is None else os.fsdecode(found).strip()


def _git(
    folder: Path, *words: str, settings: Iterable[str] = (), given: bytes = b""
) -> bytes | None:
    """What git prints, `given` on its standard input; None where it cannot be asked or fails."""
    inherited = without_credentials(os.environ)
    environment = {name: value for name, value in inherited.items() if name not in _ELSEWHERE}
    options = [
        option
        for setting in (*_QUIET, _NO_PROPOSED_REPOSITORY, *settings)
        for option in ("-c", setting)
    ]
    try:
        done = subprocess.run(  # noqa: S603 - the words are ours, the folder and the commit no options
            ["git", "-C", str(folder), *options, *words],  # noqa: S607 - the operator's git
            input=given,
            capture_output=True,
            env={**environment, "GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0"},
            timeout=PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout


def _head(git: Path) -> str:
    """A worktree's .git is a file that names its folder, whose `commondir` names the branches'
    (gitrepository-layout(5))."""
    try:
        if git.is_file():
            git = git.parent / git.read_text().strip().removeprefix("gitdir: ")
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        if (git / "commondir").is_file():
            git = git / (git / "commondir").read_text().strip()
        if (git / name).is_file():
            return (git / name).read_text().strip()
        for line in (git / "packed-refs").read_text().splitlines():
            if line.endswith(f" {name}"):
                return line.split()[0]
    except OSError:
        logging.getLogger(__name__).debug("no commit found in %s", git)
    return ""
