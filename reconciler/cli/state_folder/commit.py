"""Read from git the commit of a state folder, and whether its files match that commit."""

from __future__ import annotations

import logging
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from reconciler.bounded_read import read_bounded
from reconciler.desired.reach import checkouts_of
from reconciler.model.secret import without_credentials
from reconciler.real_path import real_path

UNCOMMITTED = " + uncommitted changes"

PATIENCE = 5
"""Seconds for which git is waited for."""

_QUIET = ("core.fsmonitor=false", "core.hooksPath=/dev/null", "protocol.allow=never")
_NO_PROPOSED_REPOSITORY = "safe.bareRepository=explicit"

_OURS = {
    "GIT_ALLOW_PROTOCOL": "",  # before git 2.45 a partial clone would be completed over any of them
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
}
_KEPT = (
    "GIT_CONFIG_",
    "GIT_CEILING_DIRECTORIES",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM",
    "GIT_EXEC_PATH",
)
"""How the variables of git begin that count: with any other one, such as GIT_DIR that hooks get,
git would speak of another place than the folder, or take paths for something else."""

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")

LARGEST = 16 << 20
"""Bytes of a file of .git that are read: packed-refs has a line for each branch and tag."""

_FILE = "100"
"""How the modes of files begin in a tree; links, folders and submodules have others."""


_FILTERS = r"^filter\..*\.(clean|smudge|process|required)$"
"""The settings of a repository that name programs through which `git status` would pass files."""


def commit_of(folder: Path, included: Iterable[str] = ()) -> str:
    """The commit that is checked out around a folder, or "".

    Asks git, which also tells whether the state files, or the files `included` as seen from the
    folder, differ from the commit; without git, the commit is read from .git. Files under a filter
    that no option of git can switch off count as changed.
    """
    real = real_path(folder)
    for parent in (real, *real.parents):
        git = parent / ".git"
        if git.exists():
            filters = _filters(folder)
            if any("=" in name for name in filters):
                return _head(git) + UNCOMMITTED
            inside = [
                f":(literal){name}"
                for name in included
                if real_path(folder / name).is_relative_to(parent)
            ]
            return _status(folder, filters, inside) or _head(git)
    return ""


def _status(folder: Path, filters: Sequence[str], besides: Sequence[str]) -> str:
    """The commit, and whether `*.toml` of the folder, or the files `besides`, are changed, new,
    ignored or missing; "" where git cannot tell.

    Writes nothing and runs no program that the repository names: a state folder may be an
    unreviewed proposal.
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
    """The names of all filter settings."""
    names = _git(folder, "config", "--null", "--name-only", "--get-regexp", _FILTERS)
    return [name for name in os.fsdecode(names or b"").split("\0") if name]


class RepositoryFolder(NamedTuple):
    """A folder in a repository around it; `inside` is its path there, "" for the repository's
    own folder."""

    repository: Path
    inside: str


def places(folder: Path) -> list[RepositoryFolder]:
    """A folder in each repository around it: as it is named, then as links lead, each outermost
    first. A proposal may add a link or a repository, but cannot change what existed before.
    """
    named = folder.absolute()
    if ".." in named.parts:
        last = len(named.parts) - named.parts[::-1].index("..")
        named = real_path(Path(*named.parts[:last])).joinpath(*named.parts[last:])
    return [
        RepositoryFolder(
            checkout, "" if path == checkout else path.relative_to(checkout).as_posix()
        )
        for path in dict.fromkeys((named, real_path(folder)))
        for checkout in reversed(checkouts_of(path))
    ]


def files_at(place: RepositoryFolder, ref: str) -> dict[str, bytes] | None:
    """The state files of a folder in a commit: name to content, {} where the folder did not exist;
    None where git cannot tell.

    Links within the commit are followed to the folder; files that are links are left out.
    """
    rows = _rows(place, ref)
    if rows is None:
        return None
    blobs = {name: blob for name, (mode, blob) in rows.items() if mode.startswith(_FILE)}
    asked = "".join(f"{blob}\n" for blob in blobs.values()).encode()
    answer = _git(place.repository, "cat-file", "--batch", given=asked) if blobs else b""
    try:
        return None if answer is None else dict(zip(blobs, _contents(answer), strict=True))
    except ValueError:  # a blob that a partial clone lacks
        return None


def _rows(place: RepositoryFolder, ref: str) -> dict[str, tuple[str, str]] | None:
    """The `*.toml` of a folder in a commit: name to mode and blob; None where it is unknown."""
    if not place.inside:
        return _tree(place.repository, ref)
    rows = _tree(place.repository, ref, f"{place.inside}/")
    if rows is None or rows:
        return rows
    asked = os.fsencode(f"{ref}:{place.inside}\n")
    words = ("cat-file", "--batch-check=%(objecttype) %(objectname)", "--follow-symlinks")
    found = (_git(place.repository, *words, given=asked) or b"").split()
    if len(found) != len(("tree", "NAME")) or found[0] != b"tree":
        return rows
    return _tree(place.repository, found[1].decode())


def _tree(repository: Path, ref: str, inside: str = "") -> dict[str, tuple[str, str]] | None:
    where = [f":(literal){inside}"] if inside else []
    rows = _git(repository, "ls-tree", "-z", "--end-of-options", ref, *where)
    if rows is None:
        return None
    found: dict[str, tuple[str, str]] = {}
    for row in os.fsdecode(rows).split("\0"):
        about, _, path = row.partition("\t")
        name = path.removeprefix(inside)
        if name.endswith(".toml") and "/" not in name:
            mode, _, blob = about.split(" ")
            found[name] = (mode, blob)
    return found


def _contents(answer: bytes) -> Iterator[bytes]:
    """Split the output of `git cat-file --batch`: `NAME blob SIZE`, then the content."""
    while answer:
        head, _, rest = answer.partition(b"\n")
        size = int(head.rpartition(b" ")[2])
        yield rest[:size]
        answer = rest[size + 1 :]


def merge_base(repository: Path, ref: str) -> str:
    """The commit at which HEAD and `ref`, a full name, diverged; "" where git knows none."""
    found = _git(repository, "merge-base", "HEAD", ref)
    return "" if found is None else os.fsdecode(found).strip()


def is_shallow(repository: Path) -> bool:
    """Whether a clone holds the last commits only."""
    return _git(repository, "rev-parse", "--is-shallow-repository") == b"true\n"


def _git(
    folder: Path, *words: str, settings: Iterable[str] = (), given: bytes = b""
) -> bytes | None:
    """The output of git with `given` on its standard input; None where git is missing or fails."""
    inherited = without_credentials(os.environ)
    environment = {
        name: value
        for name, value in inherited.items()
        if not name.startswith("GIT_") or name.startswith(_KEPT)
    }
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
            env=environment | _OURS,
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
            git = git.parent / _text(git).removeprefix("gitdir: ")
        head = _text(git / "HEAD")
        if not head.startswith("ref: "):
            return _named(head)
        name = head.removeprefix("ref: ")
        if (git / "commondir").is_file():
            git = git / _text(git / "commondir")
        if (git / name).is_file():
            return _named(_text(git / name))
        for line in _text(git / "packed-refs").splitlines():
            if line.endswith(f" {name}"):
                return _named(line.split()[0])
    except (OSError, ValueError):
        logging.getLogger(__name__).debug("no commit found in %s", git)
    return ""


def _text(path: Path) -> str:
    return read_bounded(path, LARGEST, regular=True).decode().strip()


def _named(text: str) -> str:
    """The name of a commit; "" for anything else, which a link may have led to."""
    return text if _COMMIT.fullmatch(text) else ""
