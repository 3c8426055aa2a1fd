"""Expectations that test nothing, so that they cannot fail."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from reconciler.access.analysis.affected import all_principals
from reconciler.access.analysis.impact import known_paths
from reconciler.access.expectations.check import is_glob, matches
from reconciler.access.table import AccessTable
from reconciler.model.declared import Expectation
from reconciler.model.finding import Finding, Severity
from reconciler.planning.checks.context import PlanContext
from reconciler.pve.acl_paths import UNNAMED

_TOP = ("access", "mapping", "nodes", "pool", "sdn", "storage", "vms")
_LISTED = ("/access/groups/", "/access/realm/", "/nodes/", "/pool/", "/storage/", "/vms/")
"""Below these it is known which paths there are, where one is known."""


def check(context: PlanContext) -> Iterable[Finding]:
    yield from idle(
        context.filled[1],
        context.desired.expectations,
        context.paths,
        complete=context.facts.complete,
    )


def idle(
    table: AccessTable,
    wanted: Iterable[Expectation],
    paths: Sequence[str] = (),
    *,
    complete: bool = True,
) -> Iterable[Finding]:
    """Globs that match no principal, and paths that match no object.

    `paths`: of all that exists; `complete`: these and the table are the whole cluster. Without that
    only what can be nowhere is told of paths.
    """
    everybody = tuple(all_principals(table))
    known = (*known_paths((table,), paths).paths, *UNNAMED) if complete else ()
    there = frozenset(paths)
    for one in wanted:
        for pattern in (*one.who, *one.but):
            if is_glob(pattern) and not any(matches(who, pattern) for who in everybody):
                where = "no user and no token" if complete else "no principal in the state files"
                yield _idle(one, f"'{pattern}' matches {where}", complete=complete)
        for pattern in one.paths:
            if is_nowhere(pattern, _counted(known, one), there, complete=complete):
                yield _idle(one, f"no object has the path {pattern}", complete=True)


def _counted(known: Iterable[str], one: Expectation) -> Iterable[str]:
    """Access is not evaluated on paths that nothing names."""
    return (path for path in known if one.cannot or path not in UNNAMED)


def is_nowhere(
    pattern: str, known: Iterable[str], there: frozenset[str], *, complete: bool
) -> bool:
    """Whether no object has a path. `known`: what a glob may match; `there`: what exists."""
    if not complete:
        return not _can_exist(pattern)
    if not is_glob(pattern):
        head = next((head for head in _LISTED if pattern.startswith(head)), "")
        listed = bool(head) and any(path.startswith(head) for path in there)
        return listed and pattern not in there
    return not any(matches(path, pattern) for path in known)


def _can_exist(pattern: str) -> bool:
    """Whether a glob can match a path of some object, by its first part."""
    first = pattern.removeprefix("/").split("/")[0]
    known = chain(_TOP, ("",))
    return not is_glob(pattern) or any(matches(name, first) for name in known)


def _idle(one: Expectation, what: str, *, complete: bool) -> Finding:
    return Finding(
        "EXPECT_NOTHING",
        Severity.WARNING if complete else Severity.NOTE,
        f"an expectation tests nothing: {what}",
        "correct or remove it: as written, it cannot fail",
        source=one.source,
    )
