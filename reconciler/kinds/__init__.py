"""Discovery of the kinds, ordered by their references."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from graphlib import TopologicalSorter
from types import MappingProxyType
from typing import Any

from reconciler.access.contents import PoolMembers
from reconciler.access.delta import Delta, difference
from reconciler.access.table import AccessTable
from reconciler.kinds.kind import Kind
from reconciler.model.address import Address
from reconciler.model.change import Cause, Change
from reconciler.model.inventory import Strays
from reconciler.model.spec import Spec, State, digest
from reconciler.pve.release import NEWEST, Release

_NONE: Mapping[str, Strays] = MappingProxyType({})


@cache
def all_kinds() -> Mapping[str, Kind[Any]]:
    """Every module here that has a `KIND`, by name; referenced kinds come first."""
    found: dict[str, Kind[Any]] = {}
    for module in pkgutil.iter_modules(__path__):
        kind = getattr(importlib.import_module(f"{__name__}.{module.name}"), "KIND", None)
        if kind is not None:
            found[kind.name] = kind
    sorter: TopologicalSorter[str] = TopologicalSorter(
        {
            name: sorted(found[name].links.refers_to & found.keys() - {name})
            for name in sorted(found)
        }
    )
    return {name: found[name] for name in sorter.static_order()}


@cache
def rank(name: str) -> int:
    """Position of a kind in creation order; deletion runs in reverse."""
    return list(all_kinds()).index(name)


def summary(kind: Kind[Any]) -> str:
    """What its objects are, in a line: that of its module."""
    return (sys.modules[kind.reads.parse.__module__].__doc__ or "").splitlines()[0]


def kind_of(address: Address) -> Kind[Any]:
    """Raises KeyError for the address of an unknown kind."""
    return all_kinds()[address.kind]


def specs() -> Mapping[str, type[Spec]]:
    """Name of a kind -> its spec, for reading plans and journals."""
    return {name: kind.spec for name, kind in all_kinds().items()}


def references(address: Address, spec: Spec) -> Iterable[Address]:
    """The objects that `spec` names."""
    return kind_of(address).links.references(address.id, spec)


def visible(address: Address, spec: Spec) -> Spec:
    """`spec` as Proxmox VE will show it."""
    shown: Spec = kind_of(address).reads.as_read(spec)
    return shown


def fingerprint(address: Address, spec: Spec | None) -> str:
    """The digest of an object as Proxmox VE shows it; "" if it does not exist."""
    return "" if spec is None else digest(visible(address, spec).to_json())


def access_table(
    state: State, release: Release = NEWEST, strays: Mapping[str, Strays] = _NONE
) -> AccessTable:
    """The access table of a state on a cluster of this release, and of
    `strays` in its pools."""
    table = AccessTable(release=release)
    for address, spec in state.items():
        kind_of(address).fill_access(address.id, spec, table)
    for name, (guests, storages) in strays.items():
        pool = table.pools.get(name)
        if pool is not None:
            table.pools[name] = PoolMembers(
                pool.guests.union(guests), pool.storages.union(storages)
            )
    return table


def access_delta(changes: Iterable[Change]) -> Delta:
    """Changes as a delta of the access table."""
    before, after = AccessTable(), AccessTable()
    for change in changes:
        grants = kind_of(change.address).fill_access
        for spec, table in ((change.before, before), (change.after, after)):
            if spec is not None:
                grants(change.address.id, spec, table)
    return difference(before, after)


def describe_step(changes: Sequence[Change]) -> str:
    """The title of one request and its reason: `create role X (declared in access.toml:1, ...)`."""
    title = kind_of(changes[0].address).writes.title(tuple(changes))
    reasons = {change.reason.text for change in changes if change.reason.cause is not Cause.UNDO}
    return f"{title} ({reasons.pop()})" if len(reasons) == 1 else title
