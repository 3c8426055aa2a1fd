"""Failing privilege tests as findings that refuse a plan."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.access.evaluate import privileges
from reconciler.access.expectations.check import BrokenPart, FailedExpectation
from reconciler.access.expectations.check import check as failed_expectations
from reconciler.access.login import Login
from reconciler.access.table import AccessTable
from reconciler.access.trace import TracedEntry
from reconciler.model.address import Address
from reconciler.model.declared import Expectation
from reconciler.model.finding import Finding, Severity
from reconciler.planning.checks.context import PlanContext
from reconciler.pve.acl_paths import UNNAMED
from reconciler.text.humanize import in_prose

SHOWN = 20
"""Number of paths for which commands are written out."""

CORRECT_NAME = "correct the name, or remove it"
"""The hint where an expectation names nobody."""

_OTHERS = {path: f"anything else below {path.rpartition('/')[0]}" for path in UNNAMED}


def check(context: PlanContext) -> Iterable[Finding]:
    yield from expectations(
        context.filled[1],
        context.desired.expectations,
        context.paths,
        context.request.now,
        complete=context.facts.complete,
    )


def expectations(
    table: AccessTable,
    wanted: Iterable[Expectation],
    paths: Iterable[str] = (),
    now: int = 0,
    *,
    complete: bool = True,
) -> Iterable[Finding]:
    """One finding per failure, with the entry that breaks it or the commands that would fix it,
    in display order.

    `complete`: the table shows the whole cluster. Otherwise only excess access is a failure, since
    missing access may be granted by entries that are not shown.
    """
    trial = table.copy()
    for finding, failure in sorted(
        ((_finding(one), one) for one in failed_expectations(table, wanted, paths, now)),
        key=lambda pair: pair[0].sort_key(),
    ):
        if complete or failure.broken is BrokenPart.CAN:
            yield finding._replace(hint=_hint(failure, trial))


def _finding(failure: FailedExpectation) -> Finding:
    return Finding(
        "EXPECT",
        Severity.ERROR,
        _message(failure),
        address=_address(failure),
        source=failure.expectation.source,
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


def _hint(failure: FailedExpectation, trial: AccessTable) -> str:
    """`trial` is changed as the commands would change the cluster: each builds on those before."""
    if failure.broken is BrokenPart.UNKNOWN:
        return CORRECT_NAME
    if failure.broken is BrokenPart.CAN:
        given = [entry_text(entry) for entry in failure.entries]
        return (
            f"given by {in_prose(given)}"
            if given
            else "root@pam may do everything; add it to `but`"
        )
    from reconciler.access.explain.recommendation import apply_remediation, recommended
    from reconciler.access.explain.snippets import login_command, pveum

    (who,) = failure.principals
    if failure.login is not Login.ACTIVE:
        command = login_command(who, failure.login)
        return f"{who}: {failure.login}" + (f"\nto change that:\n{command}" if command else "")
    lines: list[str] = []
    for path in failure.paths[:SHOWN]:
        for remedy in recommended(trial, who, path, failure.privilege)[:1]:
            lines += pveum(remedy)
            apply_remediation(trial, remedy)
    left = len(failure.paths) - SHOWN
    if left > 0:
        lines.append(f"and likewise on {left:,} more paths, or grant it once further up")
    if not lines and failure.privilege in privileges(trial, who, failure.paths[0]):
        return "the commands of the findings above grant this as well"
    if not lines:
        return "no grant on that path would provide it"
    return "\n".join(["to grant it:", *lines])


def _address(failure: FailedExpectation) -> Address | None:
    if failure.entries:
        return failure.entries[0].key.address
    return None


def entry_text(entry: TracedEntry) -> str:
    """`PVEVMUser for group ops on /vms`."""
    return f"{entry.role} for {entry.kind} {entry.principal} on {entry.path}"
