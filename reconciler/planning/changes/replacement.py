"""Objects that are deleted and recreated, and what Proxmox VE drops with them."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.kinds import kind_of, references
from reconciler.model.address import Address
from reconciler.model.change import Cause, Change, Reason
from reconciler.model.declared import Desired
from reconciler.model.spec import Spec, State
from reconciler.planning.changes.goal import goal


def with_restored_dependents(changes: Sequence[Change], live: State) -> tuple[Change, ...]:
    """The same changes, and two more for everything that Proxmox VE would silently drop with a
    recreated object, declared or not: it is removed before and restored afterwards.

    Sorted by address; of two changes of one object the first comes first.
    """
    again = {change.address for change in changes if _is_made_again(change)}
    if not again:
        return tuple(changes)
    planned = {change.address: change for change in changes}
    later: list[Change] = []
    for address, spec in sorted(live.items(), key=lambda item: item[0]):
        dropped = [
            ref
            for ref in references(address, spec)
            if ref in again and address.kind in kind_of(ref).links.silently_deletes
        ]
        rest = _without(address, spec, dropped)
        own = planned.get(address)
        if rest == spec or (own is not None and own.after is None):
            continue
        reason = Reason(Cause.DEPENDENT, f"depends on {dropped[0]}, which is recreated")
        reached = spec if own is None else own.after
        planned[address] = Change(address, spec, rest, reason)
        if rest != reached:
            later.append(Change(address, rest, reached, own.reason if own else reason))
    return tuple(sorted([*planned.values(), *later], key=lambda change: change.address))


def kinds_dropped_by(desired: Desired, live: State) -> frozenset[str]:
    """The kinds whose objects may be dropped with a recreated object: a plan must know all of
    them."""
    found: set[str] = set()
    for address in desired.objects:
        kind, before = kind_of(address), live.get(address)
        if not kind.links.silently_deletes or before is None:
            continue
        try:
            after = goal(desired, address, before)
        except ValueError:
            continue
        if _is_made_again(Change(address, before, after, Reason(Cause.DIFFERS, ""))):
            found |= kind.links.silently_deletes
    return frozenset(found)


def _is_made_again(change: Change) -> bool:
    """Whether Proxmox VE can change it only by deleting and recreating it."""
    if change.before is None or change.after is None:
        return False
    return any(piece.after is None for piece in kind_of(change.address).writes.split(change))


def _without(address: Address, spec: Spec, gone: Sequence[Address]) -> Spec | None:
    rest: Spec | None = spec
    for ref in gone:
        rest = None if rest is None else kind_of(address).links.without(address.id, rest, ref)
    return rest
