"""A mistake in a table of a state file is reported once, however many objects it declares."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model.finding import Finding
from reconciler.text.humanize import count


def once_per_table(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings, in order; those of one table that differ only in the object at the beginning
    of their message, as of the entries of one `[[acl]]`, are one. One with an `--allow` stays.
    """
    groups: dict[object, list[Finding]] = {}
    for number, finding in enumerate(findings):
        begins = finding.address and finding.message.startswith(f"{finding.address} ")
        if begins and finding.source and not finding.allow:
            rest = finding.message.removeprefix(str(finding.address))
            key: object = finding._replace(address=None, message=rest)
        else:
            key = number
        groups.setdefault(key, []).append(finding)
    return tuple(_one(first, rest) for first, *rest in groups.values())


def _one(first: Finding, others: list[Finding]) -> Finding:
    if not others:
        return first
    more = count(len(others), "more entry", "more entries")
    said = f"{first.address} (and {more} of this table)"
    return first._replace(message=first.message.replace(str(first.address), said, 1))
