"""Separation of duties: who holds privileges that must not be held together.

A person is a user with its tokens. root@pam, which holds everything, is not asked about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from reconciler.access.analysis.equivalence import EquivalenceClass, granted_anywhere
from reconciler.access.analysis.impact import known_paths
from reconciler.access.contents import ROOT
from reconciler.access.expectations.check import (
    ExpectationChecker,
    ExpectationSubject,
    by_person,
)
from reconciler.access.table import AccessTable
from reconciler.model.declared import Expectation
from reconciler.pve.acl_paths import UNNAMED


class HeldTogether(NamedTuple):
    """A person who holds privileges that must not be held together: by which accounts, and on which
    paths."""

    expectation: Expectation
    principals: tuple[str, ...]
    paths: tuple[str, ...]


def held_together(
    table: AccessTable,
    expectations: Iterable[Expectation],
    paths: Iterable[str] = (),
    now: int = 0,
    *,
    on_one_path: bool = False,
) -> Iterator[HeldTogether]:
    """Persons who hold all of `cannot_both`: each on some path, or all of them `on_one_path`.

    `paths` as for `check`.
    """
    wanted = [one for one in expectations if one.cannot_both]
    if not wanted:
        return
    checker = ExpectationChecker(table, known_paths((table,), (*paths, *UNNAMED)), now)
    for one in wanted:
        subject = checker.asked(one)
        holders = _possible(table, subject.principals, frozenset(one.cannot_both))
        cells = [
            cell
            for cell in checker.cells(holders, subject.paths)
            if not cell.held[0].keys().isdisjoint(one.cannot_both)
        ]
        yield from (_on_one_path if on_one_path else _anywhere)(subject, cells)


def _possible(table: AccessTable, principals: Iterable[str], both: frozenset[str]) -> Iterator[str]:
    """The accounts of persons to whom entries grant all of them, wherever that is."""
    granted = {who: both & granted_anywhere(table, who) for who in principals}
    for accounts in by_person(granted).values():
        if both <= frozenset().union(*(granted[who] for who in accounts)):
            yield from (who for who in accounts if granted[who])


def _anywhere(
    subject: ExpectationSubject, cells: Iterable[EquivalenceClass]
) -> Iterator[HeldTogether]:
    """The first account and path for each of the privileges."""
    account = {who: place for place, who in enumerate(subject.principals)}
    position = {path: place for place, path in enumerate(subject.paths)}
    first: dict[tuple[str, str], tuple[int, str]] = {}
    for cell in cells:
        path = min(cell.paths, key=position.__getitem__)
        for privilege in cell.held[0].keys() & subject.expectation.cannot_both:
            for who in cell.principals:
                known = first.get((who, privilege))
                if known is None or position[path] < known[0]:
                    first[who, privilege] = position[path], path
    for person, accounts in by_person(subject.principals).items():
        spots = [
            next(((who, first[who, name][1]) for who in accounts if (who, name) in first), None)
            for name in subject.expectation.cannot_both
        ]
        if person != ROOT and all(spots):
            found = dict.fromkeys(spot for spot in spots if spot)
            yield HeldTogether(
                subject.expectation,
                tuple(dict.fromkeys(sorted((who for who, _ in found), key=account.__getitem__))),
                tuple(dict.fromkeys(path for _, path in found)),
            )


def _on_one_path(
    subject: ExpectationSubject, cells: Iterable[EquivalenceClass]
) -> Iterator[HeldTogether]:
    """By account where one holds them all, else by tokens that complete each other.

    What a token holds, its user holds as well, so tokens alone complete each other only where the
    user itself is not asked about.
    """
    both = frozenset(subject.expectation.cannot_both)
    persons = by_person(subject.principals)
    alone: dict[str, dict[str, None]] = {}
    shared: dict[str, dict[str, dict[str, frozenset[str]]]] = {}
    split = {
        who: person
        for person, accounts in persons.items()
        if person not in accounts and len(accounts) > 1
        for who in accounts
    }
    for cell in cells:
        held = both & cell.held[0].keys()
        for who in cell.principals:
            if held == both:
                alone.setdefault(who, {}).update(dict.fromkeys(cell.paths))
            elif who in split:
                places = shared.setdefault(split[who], {})
                for path in cell.paths:
                    places.setdefault(path, {})[who] = held
    for person, accounts in persons.items():
        found = _person(accounts, both, alone, shared.get(person, {}))
        if person != ROOT and found is not None:
            yield HeldTogether(subject.expectation, *found)


def _person(
    accounts: Iterable[str],
    both: frozenset[str],
    alone: Mapping[str, Mapping[str, None]],
    shared: Mapping[str, Mapping[str, frozenset[str]]],
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """The accounts and paths of one person; None where it never holds `both`."""
    who = {account: None for account in accounts if account in alone}
    paths = {path: None for account in who for path in alone[account]}
    for path, holders in shared.items():
        if both <= frozenset().union(*holders.values()):
            who.update(dict.fromkeys(sorted(holders)))
            paths[path] = None
    return (tuple(who), tuple(paths)) if paths else None
