"""Changes that require Proxmox VE to delete and recreate an object."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.kinds import kind_of, references
from reconciler.model.change import Change
from reconciler.model.finding import Finding, Severity
from reconciler.model.spec import State

SHOWN = 5
"""Number of removed and restored objects that are named."""


def as_replacement(change: Change) -> tuple[Change, Change]:
    """The change as a deletion and a creation."""
    return change._replace(after=None), change._replace(before=None)


def replacement(change: Change, live: State, fixed: Sequence[str], lost: str = "") -> Finding:
    """Refuse a replacement unless it is allowed by name, and say what else it affects.

    `fixed`: options that cannot be changed in place; `lost`: what is lost by it.
    """
    kind = kind_of(change.address)
    if change.address.id in kind.reads.builtin_ids:
        return Finding(
            "BUILT_IN",
            Severity.ERROR,
            f"{change.address} is built in, and Proxmox VE recreates it with its own values when "
            f"it is deleted: {', '.join(fixed)} cannot be changed",
            hint="keep its values, and declare another object with yours",
            address=change.address,
        )
    drops = kind.links.silently_deletes
    named = sorted(
        str(address)
        for address, spec in live.items()
        if address.kind in drops and change.address in references(address, spec)
    )
    shown = ", ".join(named[:SHOWN])
    if len(named) > SHOWN:
        shown += f" and {len(named) - SHOWN} more"
    message = (
        f"{change.address}: {', '.join(fixed)} cannot be changed; it would have to be deleted and "
        "recreated"
    )
    if lost:
        message += f", and Proxmox VE would drop {lost}"
    if named:
        message += f"; its dependents are removed before and restored after: {shown}"
    flag = f"REPLACE={change.address}"
    return Finding(
        "REPLACE",
        Severity.ERROR,
        message,
        hint=f"to allow just this: --allow '{flag}'",
        address=change.address,
        allow=flag,
    )
