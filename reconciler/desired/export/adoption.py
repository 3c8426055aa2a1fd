"""Which live objects an import in steps takes over: those selected that no file declares."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from reconciler.errors import UsageError
from reconciler.kinds import all_kinds, kind_of
from reconciler.model.address import Address
from reconciler.model.declared import Desired
from reconciler.model.spec import Spec, State
from reconciler.text.suggest import did_you_mean


class Adoption(NamedTuple):
    """`new`: objects to declare. `declared`: those that a file names already. `leaving`: those that
    [[removed]] or [[moved]] tables are to delete, and what belongs to these."""

    new: dict[Address, Spec]
    declared: tuple[Address, ...]
    leaving: tuple[Address, ...]


def chosen(live: State, patterns: Sequence[str]) -> frozenset[Address]:
    """The live objects that are meant; a pattern is a kind, an address, or a glob over addresses.

    Raises UsageError for a pattern that matches nothing in the cluster.
    """
    found: set[Address] = set()
    for pattern in patterns:
        if pattern in all_kinds():
            found |= {address for address in live if address.kind == pattern}
            continue
        matching = {address for address in live if address.matches(pattern)}
        if not matching:
            hint = did_you_mean(pattern, [*all_kinds(), *map(str, sorted(live))])
            raise UsageError(
                f"'{pattern}' matches nothing in the cluster",
                hint=hint or "name a kind, an address or a glob: group, group.DevOps, 'user.*@pve'",
            )
        found |= matching
    return frozenset(found)


def with_belongings(live: State, found: Iterable[Address]) -> frozenset[Address]:
    """These objects and what belongs to them: tokens of a user, entries of a principal. Plans would
    delete it if it stayed undeclared."""
    whole = set(found)
    while more := {
        address
        for address, spec in live.items()
        if address not in whole
        and not whole.isdisjoint(kind_of(address).links.owners(address.id, spec))
    }:
        whole |= more
    return frozenset(whole)


def adoption(live: State, found: Collection[Address], desired: Desired) -> Adoption:
    """What of these the files do not declare yet, so that nothing is declared twice."""
    there = desired.objects.keys() | desired.broken
    deleted = {address for address in live if desired.removes(address)}
    deleted |= {*desired.removed, *(moved.old for moved in desired.moved)}
    leaving = with_belongings(live, deleted)
    return Adoption(
        {address: live[address] for address in sorted(found) if address not in there | leaving},
        tuple(sorted(address for address in found if address in there)),
        tuple(sorted(address for address in found if address in leaving - there)),
    )
