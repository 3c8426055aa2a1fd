"""Realms whose accounts come from a directory: Proxmox VE copies them, and calls each group
`NAME-REALM` (`sync` of PVE::API2::Domains)."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.kinds.realm.table import RealmSpec
from reconciler.kinds.realm_sync import RealmSyncSpec
from reconciler.model.address import Address
from reconciler.model.spec import Spec


def synchronised(state: Mapping[Address, Spec]) -> frozenset[str]:
    """The realms that a job copies, or that say what a copy by hand does."""
    jobs = {spec.realm for spec in state.values() if isinstance(spec, RealmSyncSpec)}
    said = {
        address.id
        for address, spec in state.items()
        if isinstance(spec, RealmSpec) and "sync-defaults-options" in dict(spec.options)
    }
    return frozenset(jobs | said)


def copied(address: Address, realms: frozenset[str]) -> str:
    """The realm whose directory makes this user or group; empty where none does."""
    if address.kind == "user":
        realm = address.id.rpartition("@")[2]
        return realm if realm in realms else ""
    if address.kind == "group":
        return next((one for one in sorted(realms) if address.id.endswith(f"-{one}")), "")
    return ""
