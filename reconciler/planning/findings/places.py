"""Where in the files something is declared, for findings and differences about it."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.kinds import kind_of
from reconciler.model.address import Address
from reconciler.model.declared import Desired
from reconciler.model.finding import Finding, Source
from reconciler.model.spec import Spec, State


def place_of(address: Address, spec: Spec | None, desired: Desired) -> Source | None:
    """Where the object is declared, or else removed, or else that to which it belongs."""
    owners = () if spec is None else kind_of(address).links.owners(address.id, spec)
    declared = (desired.objects.get(one) for one in (address, *owners))
    sources = (one.source for one in declared if one is not None)
    return next(sources, None) or desired.removes(address)


def first_place(addresses: Iterable[Address], desired: Desired) -> Source | None:
    """Where the first of them that is declared is declared."""
    found = (desired.objects.get(address) for address in addresses)
    return next((one.source for one in found if one is not None), None)


def with_places(findings: Iterable[Finding], desired: Desired, state: State) -> tuple[Finding, ...]:
    """Those about an object get its place, unless they have one. `state`: what exists."""
    return tuple(
        one._replace(source=place_of(one.address, state.get(one.address), desired))
        if one.source is None and one.address is not None
        else one
        for one in findings
    )
