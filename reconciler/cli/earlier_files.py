"""Load what the state files declared earlier: in a commit, or when this machine last applied
them.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from reconciler.cli import drift_memory
from reconciler.cli.commit import files_at, merge_base
from reconciler.cli.context import Loaded
from reconciler.desired.loader import load, require_valid
from reconciler.desired.settings.settings import SETTINGS_FILE, read_settings
from reconciler.desired.settings.stricter import new_waivers, weakened
from reconciler.errors import UsageError
from reconciler.model.address import Address
from reconciler.model.declared import Declared, Desired
from reconciler.model.finding import Finding

Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="REF",
        help="Compare with the files of this commit; by default where this branch began.",
    ),
]

_TARGET_BRANCH = ("GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME")
"""Where GitHub, Forgejo and GitLab name the branch that a pull request is for."""

_BRANCH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]*")


class Earlier(NamedTuple):
    """What was declared, and in which commit; "" where this machine remembers it.

    `fresh`: what has been declared or changed since.
    """

    addresses: frozenset[Address] = frozenset()
    since: str = ""
    fresh: frozenset[Address] = frozenset()
    weaker: tuple[Finding, ...] = ()
    """where the settings and the waivers ask for less than they did in that commit"""
    files: Desired | None = None
    """the files of the commit, where one was looked at"""


NOTHING = Earlier()


def _declared(loaded: Loaded, content: Mapping[str, bytes]) -> Desired:
    """What state files of this content declare, and their mistakes."""
    with tempfile.TemporaryDirectory() as name:
        for file, text in content.items():
            (Path(name) / file).write_bytes(text)
        return load(
            Path(name),
            variables=loaded.cluster.variables,
            settings=loaded.settings,
            release=loaded.desired.release,
        )


def default_ref(folder: Path, environment: Mapping[str, str]) -> str:
    """The commit at which this branch left its base, as named by CI, else origin's default branch;
    "" where git knows none.
    """
    named = (environment.get(name, "") for name in _TARGET_BRANCH)
    target = next((branch for branch in named if _BRANCH.fullmatch(branch)), "HEAD")
    return merge_base(folder, f"refs/remotes/origin/{target}")


def earlier_files(loaded: Loaded, since: str | None, home: Path | None = None) -> Earlier:
    """What was declared at `since`, which must exist; by default where this branch began, otherwise
    when this machine last applied or compared the files, as `home` remembers for the cluster.
    """
    now = loaded.desired.objects
    ref = since or default_ref(loaded.cluster.folder, os.environ)
    content = files_at(loaded.cluster.folder, ref) if ref else None
    if since and content is None:
        raise UsageError(
            f"git has no state files at '{since}'",
            hint="--since takes a commit, branch or tag, such as HEAD~1 or origin/main",
        )
    found = NOTHING
    if content:  # where there was no state folder yet there is nothing to compare with
        old = _declared(loaded, content)
        if since:
            require_valid(old.findings)
        name = since or ref[:12]
        weaker = _weaker(loaded, old, ref, name)
        found = Earlier(frozenset(old.objects), name, _fresh(now, old.objects), weaker, old)
        if since or old.objects.keys() - now.keys():
            return found
    elif since:
        return NOTHING._replace(since=since, fresh=frozenset(now))
    if home is None:
        return found._replace(addresses=frozenset(), since="")
    memory = drift_memory.recall(home / "drift.json", home)
    fresh = found.fresh
    if not content and memory.complete:
        fresh = frozenset(now.keys() - memory.baseline.keys())
    return found._replace(addresses=frozenset(memory.baseline), since="", fresh=fresh)


def _weaker(loaded: Loaded, old: Desired, ref: str, name: str) -> tuple[Finding, ...]:
    """Where settings and waivers are less strict than at `ref`, shown as `name`."""
    found = new_waivers(old.waivers, loaded.desired.waivers, name)
    folder = loaded.settings.folder
    before = (files_at(folder, ref) or {}).get(SETTINGS_FILE, b"")
    path = folder / SETTINGS_FILE
    if before == (path.read_bytes() if path.exists() else b""):
        return tuple(found)
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / SETTINGS_FILE).write_bytes(before)
        policy = read_settings(Path(place)).policy
    return (*weakened(policy, read_settings(folder).policy, name), *found)


def _fresh(now: Mapping[Address, Declared], old: Mapping[Address, Declared]) -> frozenset[Address]:
    return frozenset(a for a, one in now.items() if a not in old or old[a].spec != one.spec)
