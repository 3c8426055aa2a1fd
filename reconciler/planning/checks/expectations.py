"""Failing privilege tests as findings that refuse a plan."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.access.expectations.check import BrokenPart, FailedExpectation
from reconciler.access.expectations.check import check as failed_expectations
from reconciler.access.explain.snippets import pveum
from reconciler.access.login import Login
from reconciler.access.table import AccessTable
from reconciler.access.trace import TracedEntry
from reconciler.model.address import Address
from reconciler.model.declared import Expectation
from reconciler.model.finding import Finding, Severity
from reconciler.planning.checks.context import PlanContext
from reconciler.pve.acl_paths import UNNAMED
from reconciler.text.humanize import in_prose

_OTHERS = {path: f"anything else below {path.rpartition('/')[0]}" for path in UNNAMED}


def check(context: PlanContext) -> Iterable[Finding]:
    yield from expectations(
        context.filled[1], context.desired.expectations, context.paths, context.request.now
    )


def expectations(
    table: AccessTable,
    wanted: Iterable[Expectation],
    paths: Iterable[str] = (),
    now: int = 0,
    *,
    complete: bool = True,
) -> Iterable[Finding]:
    """One finding per failure, with the entry that breaks it or the commands that would mend it.

    `complete`: the table shows the whole cluster. Without that only what entries give to somebody
    who should not have it is a failure, since what somebody lacks may be granted elsewhere.
    """
    for failure in failed_expectations(table, wanted, paths, now):
        if complete or failure.broken is BrokenPart.CAN:
            yield Finding(
                "EXPECT",
                Severity.ERROR,
                _message(failure),
                _hint(failure),
                _address(failure),
                failure.expectation.source,
            )


def _message(failure: FailedExpectation) -> str:
    who = in_prose(failure.principals)
    if failure.broken is BrokenPart.UNKNOWN:
        return f"expectation: {who} {failure.broken}"
    where = in_prose([_OTHERS.get(path, path) for path in failure.paths])
    verb, rest = str(failure.broken).split(", but ")
    text = f"expectation: {who} {verb} {failure.privilege} on {where}, but {rest}"
    reason = failure.expectation.reason
    return f"{text} ({reason})" if reason else text


def _hint(failure: FailedExpectation) -> str:
    if failure.broken is BrokenPart.UNKNOWN:
        return "correct the name, or take it out"
    if failure.broken is BrokenPart.CAN:
        given = [entry_text(entry) for entry in failure.entries]
        return (
            f"given by {in_prose(given)}" if given else "root@pam may do everything; name it in but"
        )
    if failure.login is not Login.ACTIVE:
        return f"{failure.principals[0]}: {failure.login}"
    if failure.remedy is None:
        return "no grant on that path would give it"
    return f"what would give it: {'; '.join(pveum(failure.remedy))}"


def _address(failure: FailedExpectation) -> Address | None:
    if failure.entries:
        entry = failure.entries[0]
        return Address("acl", f"{entry.path}|{entry.kind}:{entry.principal}|{entry.role}")
    return None


def entry_text(entry: TracedEntry) -> str:
    """`PVEVMUser for group ops on /vms`."""
    return f"{entry.role} for {entry.kind} {entry.principal} on {entry.path}"
