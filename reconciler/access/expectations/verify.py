"""Compare expectations with the cluster's answers, and those with our own evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from reconciler.access.contents import ROOT
from reconciler.access.evaluate import privileges
from reconciler.access.expectations.check import ExpectationSubject, by_person
from reconciler.access.login import Login, login
from reconciler.access.table import AccessTable
from reconciler.model.declared import Expectation


class Checkpoint(NamedTuple):
    """A query to the cluster: the privileges of a principal on a path."""

    principal: str
    path: str


Answers = Mapping[Checkpoint, frozenset[str]]
"""Privileges as /access/permissions returns them, whether or not the principal can log in."""


class VerificationOutcome(NamedTuple):
    """One privilege of one expectation, checked on `checked` pairs of principal and path.

    `wanted`: it is expected to be held. `probe`: the token that asked for itself; "": the caller
    asked about others. `failed`: pairs that fail; `why` explains the first of them.
    """

    expectation: Expectation
    privilege: str
    wanted: bool
    probe: str
    checked: int
    failed: tuple[Checkpoint, ...] = ()
    why: str = ""


class Disagreement(NamedTuple):
    """The cluster's answer differs from our evaluation of the entries that were read.

    `more`: granted only by the cluster, `less`: only by our evaluation; `named`: an expectation
    depends on one of these.
    """

    spot: Checkpoint
    more: tuple[str, ...]
    less: tuple[str, ...]
    named: bool


def checkpoints(asked: Iterable[ExpectationSubject]) -> tuple[Checkpoint, ...]:
    """All queries that these expectations need, each once."""
    found = {
        Checkpoint(who, path): None for one in asked for who in one.principals for path in one.paths
    }
    return tuple(found)


def verdict(
    table: AccessTable,
    asked: Iterable[ExpectationSubject],
    answers: Answers,
    probe: str = "",
    now: int = 0,
) -> Iterator[VerificationOutcome]:
    """With `probe` only the outcomes of that token, which has just logged in.

    Without it a principal that cannot log in at `now` has no access.
    """
    for one in asked:
        who = tuple(name for name in one.principals if not probe or name == probe)
        if probe and not who:
            continue
        logins = {name: Login.ACTIVE if probe else login(table, name, now) for name in who}
        yield from _together(one, answers, logins, probe)
        wishes = [(name, True) for name in one.expectation.can]
        wishes += [(name, False) for name in one.expectation.cannot]
        for privilege, wanted in wishes:
            pairs = [
                Checkpoint(name, path)
                for name in who
                for path in (one.named if wanted else one.paths)
            ]
            failed = tuple(
                spot
                for spot in pairs
                if _can(logins[spot.principal], answers[spot], privilege) is not wanted
            )
            why = ""
            if failed and logins[failed[0].principal] is not Login.ACTIVE:
                why = str(logins[failed[0].principal])
            yield VerificationOutcome(
                one.expectation, privilege, wanted, probe, len(pairs), failed, why
            )


def _together(
    one: ExpectationSubject, answers: Answers, logins: Mapping[str, Login], probe: str
) -> Iterator[VerificationOutcome]:
    """Whether a person holds privileges that must not be held together; for all, not tried."""
    wanted = one.expectation.cannot_both
    if not wanted or probe:
        return
    failed: list[Checkpoint] = []
    persons = by_person(one.principals)
    for person, accounts in persons.items():
        spots = [
            Checkpoint(who, path)
            for who in accounts
            if logins[who] is Login.ACTIVE
            for path in one.paths
        ]
        places = [next((s for s in spots if name in answers[s]), None) for name in wanted]
        if person != ROOT and all(places):
            failed += dict.fromkeys(spot for spot in places if spot)
    text = " and ".join(wanted)
    yield VerificationOutcome(
        one.expectation, text, wanted=False, probe=probe, checked=len(persons), failed=tuple(failed)
    )


def _can(state: Login, held: frozenset[str], privilege: str) -> bool:
    return state is Login.ACTIVE and privilege in held


def disagreements(
    table: AccessTable, asked: Iterable[ExpectationSubject], answers: Answers
) -> tuple[Disagreement, ...]:
    """Every answer that differs from our evaluation."""
    named: dict[Checkpoint, set[str]] = {}
    for one in asked:
        expected = one.expectation
        wished = {*expected.can, *expected.cannot, *expected.cannot_both}
        for who in one.principals:
            for path in one.paths:
                named.setdefault(Checkpoint(who, path), set()).update(wished)
    found = []
    for spot, held in answers.items():
        computed = privileges(table, spot.principal, spot.path).keys()
        if computed != held:
            more, less = tuple(sorted(held - computed)), tuple(sorted(computed - held))
            touched = not named.get(spot, set()).isdisjoint((*more, *less))
            found.append(Disagreement(spot, more, less, touched))
    return tuple(found)
