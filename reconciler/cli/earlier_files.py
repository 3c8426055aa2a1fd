"""What the state files declared earlier: in a commit, or when this machine last applied them."""

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
from reconciler.desired.files import DISK, SETTINGS_FILE
from reconciler.desired.loader import load, require_valid
from reconciler.desired.settings.settings import Settings, read_settings
from reconciler.desired.settings.stricter import new_waivers, weakened
from reconciler.desired.toml.document import Document, decode
from reconciler.errors import UsageError
from reconciler.model.address import Address
from reconciler.model.declared import Declared, Desired
from reconciler.model.finding import Finding

Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="REF",
        help="Compare with the files of this commit; default: where this branch began.",
    ),
]

_TARGET_BRANCH = ("GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME")
"""Where GitHub, Forgejo and GitLab name the branch that a pull request is for."""

_BRANCH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]*")


class Earlier(NamedTuple):
    """What was declared, and by which commit; "" where this machine remembers it.

    `fresh`: what is declared since then, or otherwise.
    """

    addresses: frozenset[Address] = frozenset()
    since: str = ""
    fresh: frozenset[Address] = frozenset()
    weaker: tuple[Finding, ...] = ()
    """where the settings and the waivers ask for less than they did in that commit"""
    files: Desired | None = None
    """the files of the commit, where one was looked at"""


NOTHING = Earlier()


class _Commit:
    """The files of a commit; those outside its repository as they are now."""

    def __init__(self, folder: Path, ref: str) -> None:
        self.root = folder.resolve()
        self.ref = ref
        self.known: dict[str, Mapping[str, bytes] | None] = {}

    def names(self, folder: Path) -> list[str]:
        content = self._content(folder)
        return DISK.names(folder) if content is None else sorted(content)

    def read(self, path: Path, file: str) -> tuple[Document, list[Finding]]:
        content = self._content(path.parent)
        return DISK.read(path, file) if content is None else decode(content[path.name], file)

    def _content(self, folder: Path) -> Mapping[str, bytes] | None:
        place = os.path.relpath(folder.resolve(), self.root)
        if place not in self.known:
            self.known[place] = files_at(self.root, self.ref, place)
        return self.known[place]


def _settings_at(folder: Path, ref: str) -> Settings | None:
    """The settings of a commit; None where they are what they are now."""
    before = (files_at(folder, ref) or {}).get(SETTINGS_FILE, b"")
    path = folder / SETTINGS_FILE
    if before == (path.read_bytes() if path.exists() else b""):
        return None
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / SETTINGS_FILE).write_bytes(before)
        return read_settings(Path(place))


def _variables(loaded: Loaded, old: Settings | None) -> dict[str, object]:
    """The variables as they were then; those of a trusted settings file as they are now."""
    now = dict(loaded.cluster.variables)
    if old is None:
        return now
    proposed = _proposed(loaded.cluster.name, read_settings(loaded.settings.folder))
    trusted = {key for key in now if key not in proposed or now[key] != proposed[key]}
    then = _proposed(loaded.cluster.name, old)
    return now | {key: value for key, value in then.items() if key not in trusted}


def _proposed(name: str, settings: Settings) -> Mapping[str, object]:
    """The variables of a cluster; the only one may go by another name, as with --on sandbox:."""
    clusters = settings.clusters
    found = clusters.get(name) or (next(iter(clusters.values())) if len(clusters) == 1 else None)
    return found.variables if found else {}


def _declared(loaded: Loaded, ref: str, settings: Settings | None) -> Desired:
    """What the state files of a commit declare, with their mistakes. `settings`: of the commit,
    where they were others."""
    return load(
        loaded.cluster.folder,
        variables=_variables(loaded, settings),
        places=loaded.cluster.places,
        settings=loaded.settings,
        release=loaded.desired.release,
        files=_Commit(loaded.cluster.folder, ref),
    )


def default_ref(folder: Path, environment: Mapping[str, str]) -> str:
    """The commit at which this branch left the one that it is for, as CI names that one, else
    origin's default; "" where git knows none."""
    named = (environment.get(name, "") for name in _TARGET_BRANCH)
    target = next((branch for branch in named if _BRANCH.fullmatch(branch)), "HEAD")
    return merge_base(folder, f"refs/remotes/origin/{target}")


def earlier_files(loaded: Loaded, since: str | None, home: Path | None = None) -> Earlier:
    """What was declared at `since`, which must be right; else where this branch began, else when
    this machine last applied or compared the files, as `home` remembers of the cluster."""
    now = loaded.desired.objects
    ref = since or default_ref(loaded.cluster.folder, os.environ)
    content = files_at(loaded.cluster.folder, ref) if ref else None
    if since and content is None:
        raise UsageError(
            f"git knows no state files at '{since}'",
            hint="--since takes a commit, branch or tag, such as HEAD~1 or origin/main",
        )
    found = NOTHING
    if content:  # where there was no state folder yet there is nothing to compare with
        settings = _settings_at(loaded.settings.folder, ref)
        old = _declared(loaded, ref, settings)
        if since:
            require_valid(old.findings)
        name = since or ref[:12]
        weaker = _weaker(loaded, old, settings, name)
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


def _weaker(
    loaded: Loaded, old: Desired, settings: Settings | None, name: str
) -> tuple[Finding, ...]:
    """How settings and waivers ask for less than in the commit shown as `name`."""
    found = new_waivers(old.waivers, loaded.desired.waivers, name)
    if settings is None:
        return tuple(found)
    now = read_settings(loaded.settings.folder).policy
    return (*weakened(settings.policy, now, name), *found)


def _fresh(now: Mapping[Address, Declared], old: Mapping[Address, Declared]) -> frozenset[Address]:
    return frozenset(a for a, one in now.items() if a not in old or old[a].spec != one.spec)
