"""Passwords that Proxmox VE would refuse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.model.address import Address
from reconciler.model.change import Change
from reconciler.model.finding import Finding, Severity
from reconciler.planning.checks.context import PlanContext

PASSWORD_REFUSED = "PASSWORD_REFUSED"  # noqa: S105 - a code


def check(context: PlanContext) -> Iterable[Finding]:
    yield from bad_passwords(context.changes, context.request.bad_passwords)


def bad_passwords(changes: Iterable[Change], known: Mapping[Address, str]) -> Iterable[Finding]:
    """Passwords of new users that Proxmox VE would refuse."""
    for change in changes:
        if change.before is None and change.address in known:
            yield Finding(
                PASSWORD_REFUSED,
                Severity.ERROR,
                f"the password of {change.address} is refused: {known[change.address]}",
                hint="choose another one, in the place that its table names",
                address=change.address,
            )
