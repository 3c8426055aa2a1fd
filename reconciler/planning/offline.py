"""The desired state in place of a live one, for plans without a cluster."""

from __future__ import annotations

from reconciler.kinds import kind_of
from reconciler.model.address import Address
from reconciler.model.declared import Desired
from reconciler.model.spec import Spec


def as_live(desired: Desired) -> dict[Address, Spec]:
    """A fresh cluster after `desired` was applied, without what cannot exist."""
    state: dict[Address, Spec] = {}
    for address, declared in desired.objects.items():
        kind = kind_of(address)
        try:
            state[address] = kind.reads.as_read(kind.writes.merge_with_live(declared.spec, None))
        except ValueError:
            continue
    return state
