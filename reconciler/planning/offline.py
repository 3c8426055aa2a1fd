"""The desired state in place of a live one, for plans without a cluster."""

from __future__ import annotations

from dataclasses import replace

from reconciler.kinds import kind_of
from reconciler.model.address import Address
from reconciler.model.declared import Desired
from reconciler.model.inventory import Facts, Kept
from reconciler.model.spec import Spec, State
from reconciler.planning.backups.retention import storages_concerned

_WITHOUT = (
    "files alone do not hold them; plan against the cluster, or against a snapshot of it with "
    "`--on sandbox:DIR`"
)


def without_archives(desired: Desired, live: State, facts: Facts) -> Facts:
    """`facts` that say that no archives are known where `desired` changes the retention."""
    concerned = storages_concerned(live, {**live, **desired.state}, facts)
    return replace(facts, kept=Kept(unseen=dict.fromkeys(concerned, _WITHOUT)))


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
