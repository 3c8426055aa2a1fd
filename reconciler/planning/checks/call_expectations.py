"""Expected calls whose answer would differ, as findings that refuse a plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.access.expectations.check import unknown_names, who_is_meant
from reconciler.access.login import Login, login
from reconciler.access.table import AccessTable
from reconciler.model.declared import CallExpectation
from reconciler.model.finding import Finding, Severity
from reconciler.planning.checks.context import PlanContext
from reconciler.planning.checks.expectations import CORRECT_NAME


def check(context: PlanContext) -> Iterable[Finding]:
    yield from expected_calls(
        context.after,
        context.desired.calls,
        context.request.now,
        complete=context.facts.complete,
    )


def expected_calls(
    table: AccessTable, calls: Sequence[CallExpectation], now: int = 0, *, complete: bool = True
) -> Iterable[Finding]:
    """One finding per call and principal, with the commands that would help.

    `complete`: the table shows the whole cluster. Otherwise only excess access is a failure.
    """
    if not calls:
        return
    from reconciler.access.expectations.call import REFUSED, failing
    from reconciler.access.explain.call import judge
    from reconciler.access.explain.recommendation import for_missing
    from reconciler.access.explain.snippets import login_command, pveum

    calls = [one for one in calls if complete or one.status == REFUSED]
    for one in calls:
        for name in unknown_names(table, one.who) if complete else ():
            message = f"expectation: {name} is not an existing user, token or group"
            yield _finding(one, message, CORRECT_NAME)
        for who in who_is_meant(table, one.who) if one.status != REFUSED else ():
            state = login(table, who, now)
            if state is not Login.ACTIVE:
                command = login_command(who, state)
                hint = f"to change that:\n{command}" if command else ""
                yield _finding(one, f"expectation: {who} cannot {one.title}: {state}", hint)
    found = failing(
        calls,
        lambda one: (
            w for w in who_is_meant(table, one.who) if login(table, w, now) is Login.ACTIVE
        ),
        lambda who, call, params: judge(table, who, call, params),
    )
    for one, who, why, answer in found:
        # A task that is expected to be refused must not be helped along.
        missing = answer.missing_before_task if one.is_refused_in_task else answer.missing
        ways = for_missing(table, who, missing) if one.status != REFUSED else ()
        lines = [line for way in ways for line in pveum(way)]
        hint = "\n".join(["to grant it:", *lines]) if lines and "missing" in why else ""
        yield _finding(one, f"expectation: {who}, {one.title}: {why}", hint)


def _finding(one: CallExpectation, message: str, hint: str) -> Finding:
    text = f"{message} ({one.reason})" if one.reason else message
    return Finding("EXPECT", Severity.ERROR, text, hint, source=one.source)
