"""Refusals that an operator may allow by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from reconciler.model.address import Address
from reconciler.model.finding import Finding, Severity
from reconciler.text.suggest import did_you_mean


def refusal(code: str, message: str, flag: str, address: Address | None = None) -> Finding:
    """An error that `--allow FLAG` turns into a warning."""
    hint = f"to allow just this: --allow '{flag}'"
    return Finding(code, Severity.ERROR, message, hint, address, allow=flag)


def allow(findings: Iterable[Finding], allowed: Sequence[str]) -> Iterable[Finding]:
    """Downgrade refusals that the operator allows by name to warnings.

    An unused flag is reported: it may be misspelt while the refusal still applies.
    """
    unused = dict.fromkeys(allowed)
    refusals = []
    for finding in findings:
        matching = [given for given in allowed if finding.allow and _matches(finding.allow, given)]
        for given in matching:
            unused.pop(given, None)
        if matching:
            message = f"{finding.message} (allowed)"
            yield finding._replace(severity=Severity.WARNING, message=message, hint="", allow="")
        else:
            refusals += [finding.allow] if finding.allow else []
            yield finding
    for given in unused:
        hint = did_you_mean(given, refusals) or "remove it; a refusal names the flag it needs"
        message = f"--allow '{given}' matches nothing in this plan"
        yield Finding("UNUSED_ALLOW", Severity.WARNING, message, hint)


def passed(findings: Iterable[Finding], allowed: Sequence[str]) -> tuple[str, ...]:
    """The exact flags of the refusals that `allowed` permits, sorted."""
    flags = {finding.allow for finding in findings if finding.allow}
    return tuple(sorted(flag for flag in flags if any(_matches(flag, given) for given in allowed)))


def _matches(wanted: str, given: str) -> bool:
    code, _, what = wanted.partition("=")
    given_code, _, given_what = given.partition("=")
    return code.lower() == given_code.lower() and fnmatchcase(what, given_what.replace("[", "[[]"))
