"""Changes that Proxmox VE can only do by deleting an object and making it again."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.kinds import kind_of, references
from reconciler.model.change import Change
from reconciler.model.finding import Finding, Severity
from reconciler.model.spec import State

SHOWN = 5
"""How many of the objects that are taken away and put back are named."""


def as_replacement(change: Change) -> tuple[Change, Change]:
    """The deletion and the creation."""
    return change._replace(after=None), change._replace(before=None)


def replacement(change: Change, live: State, fixed: Sequence[str], lost: str = "") -> Finding:
    """Refuses a replacement unless it is allowed by name, and says what it touches besides.

    `fixed`: the options that cannot be changed in place; `lost`: what is gone afterwards.
    """
    kind = kind_of(change.address)
    if change.address.id in kind.reads.builtin_ids:
        return Finding(
            "BUILT_IN",
            Severity.ERROR,
            f"{change.address} belongs to Proxmox VE itself, which makes it again with its own "
            f"values as soon as it is deleted: {', '.join(fixed)} cannot be changed",
            hint="leave that as it is, and declare another object with what you want",
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
        "made again"
    )
    if lost:
        message += f", and Proxmox VE would drop {lost}"
    if named:
        message += f"; what hangs on it is taken away before and put back: {shown}"
    flag = f"REPLACE={change.address}"
    return Finding(
        "REPLACE",
        Severity.ERROR,
        message,
        hint=f"to allow just this: --allow '{flag}'",
        address=change.address,
        allow=flag,
    )
