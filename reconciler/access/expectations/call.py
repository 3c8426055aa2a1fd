"""Expectations about calls: the answer they would get, and which can be tried safely."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from reconciler.access.explain.call import CallAnswer, judge
from reconciler.access.table import AccessTable
from reconciler.model.declared import CallExpectation
from reconciler.pve.calls.rule import Call, Params
from reconciler.pve.calls.table import find_call

REFUSED = 403


class CallOutcome(NamedTuple):
    """How one call of one token went.

    `sent`: it was tried; else `said` is what is known without. `ok`: it is as expected.
    """

    expectation: CallExpectation
    who: str
    ok: bool
    said: str
    sent: bool


def known_call(one: CallExpectation) -> tuple[Call, Params] | None:
    """The rules of the call and its parameters; None where they are not known."""
    found = find_call(one.method, one.path)
    return (found[0], {**dict(one.params), **found[1]}) if found else None


def foreseen(one: CallExpectation, answer: CallAnswer) -> str:
    """Why the call would not be answered as expected; "" if it would."""
    if answer.ticket:
        return "" if one.status == REFUSED else "tokens cannot make this call"
    if answer.refused is not None:
        missing = f"{answer.refused.text} is missing"
        return "" if one.status == REFUSED else f"it is refused with 403: {missing}"
    certain = all(rule.held is not None for rule in answer.rules)
    if one.status == REFUSED:
        return "it is not refused: nothing is missing" if certain else ""
    if one.status != 200:
        return ""
    expects = one.is_refused_in_task
    if answer.refused_in_task is not None:
        missing = f"{answer.refused_in_task.text} is missing"
        return "" if expects else f"its task fails with 403: {missing}"
    certain = all(rule.held is not None for rule in answer.task)
    return "its task is not refused: nothing is missing" if expects and certain else ""


def is_refused(one: CallExpectation, answer: CallAnswer | None) -> bool:
    """Whether a call does no harm since it reads, or is certain to be refused: as a whole, or in
    its task for each guest that it names."""
    if one.method == "GET":
        return True
    if answer is None:
        return False
    in_task = bool(answer.task) and all(rule.held is False for rule in answer.task)
    return answer.ticket or answer.refused is not None or in_task


def failing(
    calls: Iterable[CallExpectation],
    principals: Callable[[CallExpectation], Iterable[str]],
    judged: Callable[[str, Call, Params], CallAnswer],
) -> Iterator[tuple[CallExpectation, str, str, CallAnswer]]:
    """Expectation, principal, why it fails, and what is missing; those that can be foreseen."""
    for one in calls:
        known = known_call(one)
        for who in principals(one) if known else ():
            answer = judged(who, *known) if known else None
            why = foreseen(one, answer) if answer else ""
            if answer and why:
                yield one, who, why, answer


def foretold(table: AccessTable, one: CallExpectation, who: str) -> CallOutcome:
    """What the entries say of a call that is not tried."""
    known = known_call(one)
    if known is None:
        return CallOutcome(one, who, ok=False, said="its rules are not known here", sent=False)
    why = foreseen(one, judge(table, who, *known))
    return CallOutcome(one, who, not why, why or "as computed", sent=False)
