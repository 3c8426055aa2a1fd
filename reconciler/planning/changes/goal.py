"""What a declared object is to become: the files, and of the rest what is there."""

from __future__ import annotations

from reconciler.kinds import kind_of
from reconciler.model.address import Address
from reconciler.model.declared import Desired
from reconciler.model.spec import Spec


def goal(desired: Desired, address: Address, live: Spec | None) -> Spec:
    """The spec to reach; raises ValueError for what cannot be reached from `live`."""
    kind = kind_of(address)
    wanted = desired.goal(address, live)
    if live is not None and kind.writes.join_members is not None:
        wanted = kind.writes.join_members(address.id, wanted, live, desired.objects)
    reached: Spec = kind.writes.merge_with_live(wanted, live)
    return reached
