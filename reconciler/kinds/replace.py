"""Changes that Proxmox VE can only do by deleting an object and making it again."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.kinds import references
from reconciler.model.change import Change
from reconciler.model.finding import Finding, Severity
from reconciler.model.state import State

SHOWN = 5
"""How many of the objects that a replacement drops are named."""


def as_replacement(change: Change) -> tuple[Change, Change]:
    """The deletion and the creation."""
    return change._replace(after=None), change._replace(before=None)


def replacement(change: Change, live: State, fixed: Sequence[str], lost: str = "") -> Finding:
    """Refuses a replacement unless it is allowed by name, and says what it would drop.

    `fixed`: the options that cannot be changed in place; `lost`: what else is gone afterwards.
    """
    named = sorted(
        str(address)
        for address, spec in live.items()
        if address != change.address and change.address in references(address, spec)
    )
    shown = ", ".join(named[:SHOWN])
    if len(named) > SHOWN:
        shown += f" and {len(named) - SHOWN} more"
    dropped = [text for text in (lost, f"what hangs on it: {shown}" if named else "") if text]
    message = (
        f"{change.address}: {', '.join(fixed)} cannot be changed; it would have to be deleted and "
        "made again"
    )
    if dropped:
        message += f", and Proxmox VE would drop {'; '.join(dropped)}"
    flag = f"REPLACE={change.address}"
    return Finding(
        "REPLACE",
        Severity.ERROR,
        message,
        hint=f"to allow just this: --allow '{flag}'",
        address=change.address,
        allow=flag,
    )
