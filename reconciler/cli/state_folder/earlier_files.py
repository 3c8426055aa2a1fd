"""Load what the state files declared earlier: in a commit, or when this machine last applied
them.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from reconciler.cli.context import Loaded
from reconciler.cli.run import drift_memory
from reconciler.cli.state_folder.commit import files_at, is_shallow, merge_base, places
from reconciler.desired.files import DISK, SETTINGS_FILE
from reconciler.desired.loader import load, require_valid
from reconciler.desired.settings.settings import Settings, read_settings
from reconciler.desired.settings.stricter import fewer_demands, new_waivers, weakened
from reconciler.desired.settings.target import ClusterSettings
from reconciler.desired.toml.document import TomlDocument, decode
from reconciler.errors import UsageError
from reconciler.model.address import Address
from reconciler.model.declared import Declared, Desired
from reconciler.model.finding import Finding, Severity
from reconciler.real_path import real_path

_TARGET_BRANCH = ("GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME")
"""Where GitHub, Forgejo and GitLab name the branch that a pull request is for."""

_BASE_COMMIT = "CI_MERGE_REQUEST_DIFF_BASE_SHA"
"""Where GitLab gives the commit at which the two parted."""

NO_MERGE_BASE = "NO_MERGE_BASE"
"""The code that says that nothing could be compared with."""

HEAD = "HEAD"
"""The last commit."""

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


class _Commit(NamedTuple):
    """State files of a commit; `own` and `files`: name -> content, of the state folder and of the
    cluster's folder, {} where it was not there; `settings` as they were, None: as they are.
    `folder`: of the cluster then."""

    ref: str
    own: Mapping[str, bytes]
    files: Mapping[str, bytes]
    folder: Path
    settings: Settings | None = None


def default_ref(repository: Path, environment: Mapping[str, str]) -> str:
    """The commit at which this branch left its base, as named by CI, else origin's default branch;
    "" where git knows none.
    """
    base = environment.get(_BASE_COMMIT, "")
    if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", base):
        found = merge_base(repository, base)
        if found:
            return found
    return merge_base(repository, f"refs/remotes/origin/{_target(environment) or 'HEAD'}")


def _target(environment: Mapping[str, str]) -> str:
    """The branch that this one is for, as CI names it."""
    named = (environment.get(name, "") for name in _TARGET_BRANCH)
    return next((branch for branch in named if _BRANCH.fullmatch(branch)), "")


def _no_merge_base(folder: Path, environment: Mapping[str, str]) -> tuple[Finding, ...]:
    """That CI is on a pull request, but its clone does not hold the commit where that began."""
    target, around = _target(environment), places(folder)
    if not (target or environment.get(_BASE_COMMIT)) or not around:
        return ()
    branch = target or "the target branch"
    message = f"the commit where this branch left {branch} is not in this clone"
    if is_shallow(around[0].repository):
        message += ", which is shallow"
    message += ": objects that left the state files, and a weaker policy, are not reported"
    hint = (
        "fetch the history: `fetch-depth: 0` in actions/checkout, `GIT_DEPTH: 0` in GitLab CI, or"
        f"\n`git fetch --unshallow origin {target}`"
    )
    return (Finding(NO_MERGE_BASE, Severity.WARNING, message, hint.rstrip()),)


def earlier_files(loaded: Loaded, since: str | None, home: Path | None = None) -> Earlier:
    """What was declared at `since`, which must exist; by default where this branch began, otherwise
    when this machine last applied or compared the files, as `home` remembers for the cluster.

    Where git knows no branch that this one is for, what is not committed is told as well.
    """
    now = loaded.desired.objects
    commit = _look_back(loaded, since)
    if since and commit is None:
        raise UsageError(
            f"git has no state files at '{since}'",
            hint="--since takes a commit, branch or tag, such as HEAD~1 or origin/main",
        )
    found = _compared(loaded, commit, since) if commit else NOTHING
    if since:
        require_valid(found.files.findings if found.files else ())
        return found if found.files else NOTHING._replace(since=since, fresh=frozenset(now))
    if found.addresses - now.keys():
        return found
    uncommitted = frozenset[Address]()
    if commit is None:
        last = _look_back(loaded, HEAD)
        found = _compared(loaded, last, HEAD) if last else NOTHING
        lost = _no_merge_base(loaded.settings.folder, os.environ)
        found = found._replace(weaker=(*lost, *found.weaker))
        uncommitted = found.addresses
    if home is None:
        return found._replace(addresses=uncommitted)
    memory = drift_memory.recall(home / "drift.json", home)
    fresh, there = found.fresh, frozenset(a for a, left in memory.baseline.items() if left)
    if memory.complete and (found.files is None or commit is None):
        fresh = frozenset(now.keys() - there)
    return found._replace(addresses=there | uncommitted, since="", fresh=fresh)


def _compared(loaded: Loaded, commit: _Commit, since: str | None) -> Earlier:
    """What the files of a commit declared; NOTHING where it has none."""
    if not (commit.own or commit.files):
        return NOTHING
    now, old = loaded.desired.objects, _declared(loaded, commit, since)
    name = since or commit.ref[:12]
    weaker = _weaker(loaded, old, commit.settings, name)
    return Earlier(frozenset(old.objects), name, _fresh(now, old.objects), weaker, old)


def _look_back(loaded: Loaded, since: str | None) -> _Commit | None:
    """The files at `since`, else where this branch began; None where git cannot tell.

    The settings of that time say where the cluster's files were: a proposal may move them as well.
    """
    folder, cluster = loaded.settings.folder, loaded.cluster
    found = _at(folder, since)
    if found is None:
        return None
    ref, own = found
    path = folder / SETTINGS_FILE
    settings, then = None, cluster.folder
    if own.get(SETTINGS_FILE, b"") != (path.read_bytes() if path.exists() else b""):
        with _written(own) as place:
            settings = read_settings(place)
            if "folder" not in cluster.trusted:
                before = _before(cluster, settings)
                then = folder / os.path.relpath(before.folder, place) if before else folder
    if then == folder:
        return _Commit(ref, own, own, folder, settings)
    elsewhere = _at(then, since)
    return _Commit(ref, own, elsewhere[1] if elsewhere else {}, then, settings)


def _at(folder: Path, since: str | None) -> tuple[str, dict[str, bytes]] | None:
    """A commit and the files of a folder in it, from the first repository around it that has them;
    {} where none has, None where none knows the commit."""
    known: tuple[str, dict[str, bytes]] | None = None
    for place in places(folder):
        ref = since or default_ref(place.repository, os.environ)
        content = files_at(place, ref) if ref else None
        if content:
            return ref, content
        if content is not None and known is None:
            known = ref, content
    return known


def _before(cluster: ClusterSettings, settings: Settings) -> ClusterSettings | None:
    """The same target in earlier settings."""
    several = settings.clusters
    only = next(iter(several.values())) if len(several) == 1 else None
    return several.get(cluster.name, only)


@contextmanager
def _written(content: Mapping[str, bytes]) -> Iterator[Path]:
    """A temporary folder with these files."""
    with tempfile.TemporaryDirectory() as name:
        for file, text in content.items():
            (Path(name) / file).write_bytes(text)
        yield Path(name)


def _declared(loaded: Loaded, commit: _Commit, since: str | None) -> Desired:
    """What the state files of a commit declared, and their mistakes."""
    before = _before(loaded.cluster, commit.settings) if commit.settings else None
    variables = {**loaded.cluster.variables, **(before.variables if before else {})}
    return load(
        commit.folder,
        variables=variables,
        places=loaded.cluster.places,
        settings=loaded.settings,
        release=loaded.desired.release,
        files=_Then(commit, since),
    )


class _Then:
    """The files of a commit; those outside of every repository as they are now."""

    def __init__(self, commit: _Commit, since: str | None) -> None:
        self.since = since
        self.known: dict[Path, Mapping[str, bytes] | None] = {
            real_path(commit.folder): commit.files
        }

    def names(self, folder: Path) -> list[str]:
        content = self._content(folder)
        return DISK.names(folder) if content is None else sorted(content)

    def read(self, path: Path, file: str) -> tuple[TomlDocument, list[Finding]]:
        content = self._content(path.parent)
        return DISK.read(path, file) if content is None else decode(content[path.name], file)

    def _content(self, folder: Path) -> Mapping[str, bytes] | None:
        real = real_path(folder)
        if real not in self.known:
            found = _at(real, self.since)
            self.known[real] = None if found is None else found[1]
        return self.known[real]


def _weaker(
    loaded: Loaded, old: Desired, settings: Settings | None, name: str
) -> tuple[Finding, ...]:
    """Where settings, waivers and expectations are less strict than those of the commit `name`."""
    found = new_waivers(old.waivers, loaded.desired.waivers, name)
    found += fewer_demands(old, loaded.desired, name)
    if settings is None:
        return tuple(found)
    now = read_settings(loaded.settings.folder).policy
    return (*weakened(settings.policy, now, name), *found)


def _fresh(now: Mapping[Address, Declared], old: Mapping[Address, Declared]) -> frozenset[Address]:
    return frozenset(a for a, one in now.items() if a not in old or old[a].spec != one.spec)
