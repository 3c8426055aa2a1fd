"""Check privilege tests against a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import NamedTuple

from reconciler.access.analysis.affected import all_principals, owner_of
from reconciler.access.analysis.equivalence import (
    EquivalenceClass,
    equivalence_classes,
    granted_anywhere,
)
from reconciler.access.analysis.impact import known_paths
from reconciler.access.any_member import granted_groups, stands_for
from reconciler.access.login import Login, login
from reconciler.access.path_index import PathIndex
from reconciler.access.table import AccessTable
from reconciler.access.trace import Decision, TracedEntry, deciding, trace_decision
from reconciler.model.declared import Expectation
from reconciler.pve.acl_paths import UNNAMED

GROUP_PREFIX = "group:"


class BrokenPart(StrEnum):
    """The ways in which an expectation fails."""

    CANNOT = "cannot, but should be able to"
    CAN = "can, but should not be able to"
    UNKNOWN = "is not an existing user, token or group"


@dataclass(frozen=True, slots=True)
class FailedExpectation:
    """`principals` break the expectation in the same way on all of `paths`.

    `login`: of the first of them, for missing access. `entries`: the ones that grant the first of
    them the privilege on the first path, for excess access. For an unknown name it is in
    `principals`, and the rest is empty.
    """

    expectation: Expectation
    broken: BrokenPart
    principals: tuple[str, ...]
    paths: tuple[str, ...] = ()
    privilege: str = ""
    login: Login = Login.ACTIVE
    decision: Decision | None = None
    entries: tuple[TracedEntry, ...] = ()


def check(
    table: AccessTable,
    expectations: Iterable[Expectation],
    paths: Iterable[str] = (),
    now: int = 0,
) -> tuple[FailedExpectation, ...]:
    """Every failing expectation, each privilege separately.

    `paths`: guests, storages and the like that exist without being named in the table. A glob over
    paths matches known ones; in `cannot` also those that nothing names yet. Disabled and expired
    principals have no access. root@pam belongs to `*` like any other.
    """
    known = known_paths((table,), (*paths, *UNNAMED))
    checker = ExpectationChecker(table, known, now)
    return tuple(failure for one in expectations for failure in checker.failures(one))


class ExpectationSubject(NamedTuple):
    """An expectation with the principals and paths that it matches, and names without principal.

    `can` applies to `named` paths only, `cannot` also to stand-ins for unnamed paths.
    """

    expectation: Expectation
    principals: tuple[str, ...]
    paths: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def named(self) -> tuple[str, ...]:
        return tuple(path for path in self.paths if path not in UNNAMED)


def expectation_subjects(
    table: AccessTable, expectations: Iterable[Expectation], paths: Iterable[str] = ()
) -> tuple[ExpectationSubject, ...]:
    """Resolve each expectation in this table; `paths` as for `check`."""
    checker = ExpectationChecker(table, known_paths((table,), (*paths, *UNNAMED)), 0)
    return tuple(checker.asked(one) for one in expectations)


def who_is_meant(table: AccessTable, names: Iterable[str]) -> tuple[str, ...]:
    """The principals that names, globs and groups mean."""
    return tuple(ExpectationChecker(table, known_paths((table,)), 0).matching(names))


def unknown_names(table: AccessTable, names: Iterable[str]) -> tuple[str, ...]:
    """Names without a principal; globs may match none."""
    checker = ExpectationChecker(table, known_paths((table,)), 0)
    return tuple(name for name in names if not checker.exists(name))


class ExpectationChecker:
    """Data shared by several expectations: `known` are the paths that globs match."""

    def __init__(self, table: AccessTable, known: PathIndex, now: int) -> None:
        self._table = table
        self._known = known
        self._now = now
        self._everybody = tuple(all_principals(table))
        granted = granted_groups(table)
        self._for_globs = tuple(
            who for who in self._everybody if not stands_for(who) or stands_for(who) in granted
        )

    def asked(self, expectation: Expectation) -> ExpectationSubject:
        names = (*expectation.who, *expectation.but)
        exempt = self.matching(expectation.but)
        return ExpectationSubject(
            expectation,
            tuple(one for one in self.matching(expectation.who) if one not in exempt),
            tuple(self._paths(expectation.paths)),
            tuple(name for name in names if not self.exists(name)),
        )

    def failures(self, expectation: Expectation) -> Iterator[FailedExpectation]:
        found = self.asked(expectation)
        for name in found.unknown:
            yield FailedExpectation(expectation, BrokenPart.UNKNOWN, (name,))
        if expectation.cannot:
            yield from self._able(expectation, found.principals, found.paths)
        for privilege in expectation.can:
            yield from self._unable(expectation, found.principals, found.named, privilege)

    def exists(self, name: str) -> bool:
        """Globs may match nothing; a name without principal is a mistake."""
        if name.startswith(GROUP_PREFIX):
            return name.removeprefix(GROUP_PREFIX) in self._table.groups
        return is_glob(name) or name in self._everybody

    def matching(self, patterns: Iterable[str]) -> Mapping[str, None]:
        """Users and tokens; a group means its members, not their tokens."""
        found: dict[str, None] = {}
        for pattern in patterns:
            if pattern.startswith(GROUP_PREFIX):
                members = self._table.groups.get(pattern.removeprefix(GROUP_PREFIX), ())
                found.update(dict.fromkeys(sorted(members)))
            elif is_glob(pattern):
                found.update(dict.fromkeys(w for w in self._for_globs if matches(w, pattern)))
            elif pattern in self._everybody:
                found[pattern] = None
        return found

    def _paths(self, patterns: Iterable[str]) -> Mapping[str, None]:
        found: dict[str, None] = {}
        for pattern in patterns:
            if is_glob(pattern):
                found.update(dict.fromkeys(p for p in self._known.paths if matches(p, pattern)))
            else:
                found[pattern] = None
        return found

    def cells(self, who: Iterable[str], paths: Iterable[str]) -> Iterator[EquivalenceClass]:
        """Those of these principals and paths."""
        whole = frozenset({"/"})
        return equivalence_classes(
            (self._table,), dict.fromkeys(who, whole), PathIndex(paths), self._now
        )

    def _able(
        self, expectation: Expectation, who: Iterable[str], paths: Iterable[str]
    ) -> Iterator[FailedExpectation]:
        """In the order of the privileges."""
        failed: dict[str, list[FailedExpectation]] = {name: [] for name in expectation.cannot}
        some = frozenset(expectation.cannot)
        holders = [one for one in who if not some.isdisjoint(granted_anywhere(self._table, one))]
        for cell in self.cells(holders, paths):
            held = [name for name in failed if name in cell.held[0]]
            if not held:
                continue
            decision = trace_decision(self._table, cell.principals[0], cell.paths[0])
            for privilege in held:
                failed[privilege].append(
                    FailedExpectation(
                        expectation,
                        BrokenPart.CAN,
                        cell.principals,
                        cell.paths,
                        privilege,
                        decision=decision,
                        entries=deciding(decision, self._table, privilege),
                    )
                )
        for failures in failed.values():
            yield from failures

    def _unable(
        self,
        expectation: Expectation,
        who: Iterable[str],
        paths: Iterable[str],
        privilege: str,
    ) -> Iterator[FailedExpectation]:
        able: dict[str, set[str]] = {}
        for cell in self.cells(who, paths):
            if privilege in cell.held[0]:
                for principal in cell.principals:
                    able.setdefault(principal, set()).update(cell.paths)
        for principal in who:
            lacking = tuple(path for path in paths if path not in able.get(principal, ()))
            if lacking:
                yield FailedExpectation(
                    expectation,
                    BrokenPart.CANNOT,
                    (principal,),
                    lacking,
                    privilege,
                    login(self._table, principal, self._now),
                    trace_decision(self._table, principal, lacking[0]),
                )


def by_person(principals: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """User -> that user and its tokens, as far as they are among these."""
    found: dict[str, list[str]] = {}
    for who in principals:
        found.setdefault(owner_of(who) or who, []).append(who)
    return found


def is_glob(text: str) -> bool:
    """Whether a name in an expectation means all that match it."""
    return "*" in text or "?" in text


def matches(text: str, pattern: str) -> bool:
    """Shell-style; `[` is literal, and `*` also matches `/`."""
    return fnmatchcase(text, pattern.replace("[", "[[]"))
