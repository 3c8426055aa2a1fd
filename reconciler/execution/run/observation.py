"""Whether live objects are as before, as declared, partly changed, or changed concurrently."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from reconciler.errors import Conflict
from reconciler.kinds import kind_of, references, visible
from reconciler.model.address import Address
from reconciler.model.change import Change
from reconciler.model.field_diff import in_one_line, object_text
from reconciler.model.spec import Spec, State


class Observed(StrEnum):
    """How an object compares with a change of it."""

    BEFORE = "before"
    AFTER = "after"
    PARTIAL = "partial"
    """PVE did the first of two writes and not the second"""
    CONFLICT = "conflict"
    """it was changed concurrently"""


def observe(change: Change, state: State) -> Observed:
    """How `state` compares with the change; a `CONFLICT` is left alone.

    A change that cannot be observed (a new password) always looks like `BEFORE`.
    """
    live = state.get(change.address)
    if live == left(change, change.before, live):
        return Observed.BEFORE
    if live == left(change, change.after, live):
        return Observed.AFTER
    if any(
        live == as_shown(change.address, spec)
        for spec in kind_of(change.address).writes.partial_states(change)
    ):
        return Observed.PARTIAL
    return Observed.CONFLICT


def left(change: Change, side: Spec | None, live: Spec | None) -> Spec | None:
    """One side of a change as Proxmox VE shows it, including the values it adds when it creates the
    object.
    """
    spec = as_shown(change.address, side)
    makes = change.before is None or change.after is None
    if spec is None or live is None or not makes or type(spec) is not type(live):
        return spec
    completed: Spec = kind_of(change.address).writes.completed(spec, live)
    return completed


def as_shown(address: Address, spec: Spec | None) -> Spec | None:
    """A spec as Proxmox VE shows it."""
    return None if spec is None else visible(address, spec)


def is_hidden(change: Change) -> bool:
    """Whether both sides look the same from outside, as with a new password."""
    return as_shown(change.address, change.before) == as_shown(change.address, change.after)


def is_applied(changes: Iterable[Change], state: State) -> bool:
    """Whether all changes are visibly applied; never true of an unobservable one."""
    return all(observe(change, state) is Observed.AFTER for change in changes)


def matching_side(
    changes: Sequence[Change], address: Address, live: Spec | None
) -> tuple[Spec | None, ...]:
    """The side of one of these changes, or a partial state, that `live` shows of an object.

    At most one; empty when the object matches none of them.
    """
    own = [change for change in changes if change.address == address]
    for change in own:
        for spec in (change.after, change.before, *kind_of(address).writes.partial_states(change)):
            if live == left(change, spec, live):
                return (spec,)
    return ()


def dependents(address: Address, state: State) -> tuple[Address, ...]:
    """The objects that refer to `address`: Proxmox VE deletes or changes them with it."""
    return tuple(
        sorted(
            other
            for other, spec in state.items()
            if other != address and address in references(other, spec)
        )
    )


def describe(change: Change, state: State) -> str:
    """What was planned and what was found; for an existing object only the fields that differ from
    when the plan was made.
    """
    before, after = (as_shown(change.address, side) for side in (change.before, change.after))
    live = state.get(change.address)
    if before is None:
        wanted, there = object_text(after), object_text(live)
        return f"{change.address}: planned to be created ({wanted}), found {there}"
    planned = "to be deleted" if after is None else in_one_line(before, after)
    found = object_text(live) if live is None else in_one_line(before, live) or "as it was before"
    return f"{change.address}: planned {planned or 'a new secret'}, found {found}"


def created_by_others(change: Change, *, gone_before: bool) -> Conflict:
    """The error for an object that is as this run declares it, but was created by another;
    `gone_before`: another run wrote in between, so this one must be closed first.
    """
    if kind_of(change.address).secrets.sink(change) is None:
        return Conflict(
            f"an object was changed concurrently: {change.address} was created by another client",
            hint="check it, then run `pvectl plan` again",
        )
    secret = f"pvectl rotate '{change.address.id}'"
    return Conflict(
        f"{change.address} was created concurrently; its secret is unknown",
        hint=f"close this run with `pvectl resume --abandon`, then give it a new secret: {secret}"
        if gone_before
        else f"declare it without secret_to, or give it a new secret: {secret}",
    )
