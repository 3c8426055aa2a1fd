"""Whether live objects are as planned before, as wanted, halfway between, or something else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from reconciler.kinds import kind_of, visible
from reconciler.model.change import Change
from reconciler.model.plan import Step
from reconciler.model.state import Spec, State


class Seen(StrEnum):
    """How an object looks to a change of it."""

    BEFORE = "before"
    AFTER = "after"
    HALFWAY = "halfway"
    """PVE did the first of two writes and not the second"""
    OTHER = "other"
    """somebody else changed it"""


def judge(change: Change, state: State) -> Seen:
    """What `state` shows of the change; `OTHER` is nobody's to touch.

    A change that does not show (a new password) always looks like `BEFORE`.
    """
    live = state.get(change.address)
    if live == shown(change, change.before):
        return Seen.BEFORE
    if live == shown(change, change.after):
        return Seen.AFTER
    if any(live == halfway for halfway in kind_of(change.address).halfway(change)):
        return Seen.HALFWAY
    return Seen.OTHER


def shown(change: Change, spec: Spec | None) -> Spec | None:
    """One side of a change as Proxmox VE shows it."""
    return None if spec is None else visible(change.address, spec)


def is_hidden(change: Change) -> bool:
    """Whether both sides look alike from outside, as with a new password."""
    return shown(change, change.before) == shown(change, change.after)


def intermediate(steps: Sequence[Step], number: int, change: Change, state: State) -> bool:
    """Whether the object already is where a later step of the same plan takes it."""
    later = (c for step in steps[number + 1 :] for c in step.changes)
    return any(
        c.address == change.address and judge(c, state) in (Seen.BEFORE, Seen.AFTER) for c in later
    )


def describe(change: Change, state: State) -> str:
    """Both values of a conflict, for people."""
    planned = words(shown(change, change.before))
    return f"{change.address}: planned from {planned}, found {words(state.get(change.address))}"


def words(spec: Spec | None) -> str:
    """A spec in one line, for people."""
    if spec is None:
        return "absent"
    fields = spec.to_json()
    return ", ".join(f"{key} {value}" for key, value in sorted(fields.items())) or "present"


def kinds_of(steps: Iterable[Step]) -> set[str]:
    """The kinds that these steps touch."""
    return {change.address.kind for step in steps for change in step.changes}
