"""[[removed]] with globs: the objects of a cluster that are meant."""

from __future__ import annotations

from dataclasses import replace

from reconciler.kinds import kind_of
from reconciler.model.declared import Desired
from reconciler.model.spec import State


def with_matching(desired: Desired, live: State) -> Desired:
    """The declarations with each live object that a glob of [[removed]] matches among the removed
    ones. Never what is declared, what `[manage] exclude` names, or what belongs to Proxmox VE."""
    if not desired.removed_globs:
        return desired
    found = {
        address: source
        for address, spec in sorted(live.items())
        if (source := desired.removes(address)) is not None
        and not kind_of(address).reads.is_builtin(address.id, spec)
        and not desired.policy.managed(address.kind).excludes(address)
    }
    return replace(desired, removed={**found, **desired.removed})
