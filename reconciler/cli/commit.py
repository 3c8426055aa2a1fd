"""The commit of a state folder, and whether its files are those of that commit."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
from pathlib import Path

from reconciler.model.secret import without_credentials

UNCOMMITTED = " + uncommitted changes"

PATIENCE = 5
"""Seconds for which git is waited for."""

_QUIET = ("-c", "core.fsmonitor=false", "-c", "protocol.allow=never")
_NO_PROPOSED_REPOSITORY = ("-c", "safe.bareRepository=explicit")

_ELSEWHERE = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}
"""With these, which hooks get, git would speak of another place than the folder."""

_SHA1 = 40
"""Hexadecimal digits of an object's name, where the repository does not use SHA-256."""

_LINK = "120000"
"""The mode of a symbolic link in a tree."""


def commit_of(folder: Path) -> str:
    """The commit that is checked out around a folder, read from .git; or "".

    Where git can be asked it says so when the state files are others than those of that commit.
    """
    for parent in (folder.resolve(), *folder.resolve().parents):
        git = parent / ".git"
        if git.exists():
            commit = _head(git)
            return commit + UNCOMMITTED if commit and _differs(folder) else commit
    return ""


def _differs(folder: Path) -> bool:
    """Whether state files are changed, new, ignored or gone; False where that is not known.

    Nothing is written, and no program runs that the repository names: a state folder may be
    somebody else's proposal. `git status` would run its filters, so the files are compared here
    with what git tells of the commit, byte for byte.
    """
    committed = _committed(folder)
    if committed is None:
        return False
    there = {path.name for path in folder.glob("*.toml")}
    return there != committed.keys() or any(
        _name(folder / name, mode, len(known)) != known for name, (mode, known) in committed.items()
    )


def _committed(folder: Path, ref: str = "HEAD") -> dict[str, tuple[str, str]] | None:
    """The `*.toml` of a folder in a commit -> mode and name of the blob; None: not known."""
    rows = _git(folder, "ls-tree", "-z", "--end-of-options", ref)
    if rows is None:
        return None
    found: dict[str, tuple[str, str]] = {}
    for row in os.fsdecode(rows).split("\0"):
        about, _, name = row.partition("\t")
        if name.endswith(".toml"):
            mode, _, blob = about.split(" ")
            found[name] = (mode, blob)
    return found


def files_at(folder: Path, ref: str) -> dict[str, bytes] | None:
    """Name -> content of the state files of a folder in a commit; None where git cannot tell.

    Links are left out: what they lead to is not a part of the commit's folder.
    """
    rows = _committed(folder, ref)
    if rows is None:
        return None
    found = {}
    for name, (mode, blob) in rows.items():
        content = None if mode == _LINK else _git(folder, "cat-file", "blob", blob)
        if content is not None:
            found[name] = content
    return found


def _git(folder: Path, *words: str) -> bytes | None:
    """What git prints; None where it cannot be asked or fails."""
    inherited = without_credentials(os.environ)
    environment = {name: value for name, value in inherited.items() if name not in _ELSEWHERE}
    try:
        done = subprocess.run(  # noqa: S603 - the words are ours, the folder and the commit no options
            ["git", "-C", str(folder), *_QUIET, *_NO_PROPOSED_REPOSITORY, *words],  # noqa: S607 - the operator's git
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**environment, "GIT_NO_LAZY_FETCH": "1"},
            timeout=PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout


def _name(path: Path, mode: str, digits: int) -> str:
    """The name that git would give to the content of a file; "" where it cannot be read."""
    try:
        content = os.fsencode(path.readlink()) if mode == _LINK else path.read_bytes()
    except OSError:
        return ""
    algorithm = hashlib.sha1 if digits == _SHA1 else hashlib.sha256
    return algorithm(b"blob %d\0" % len(content) + content).hexdigest()


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
