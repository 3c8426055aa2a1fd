"""What no file gives and yet decides access or protection: what drift remembers of it.

A plan leaves it alone. A report compares it with the report before, so that a change never goes
unseen: an account that somebody switches on, a membership, a realm that checks no certificate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from reconciler.kinds import kind_of
from reconciler.kinds.shared.omitted_keys import watched
from reconciler.model.address import Address
from reconciler.model.declared import Declared, Desired
from reconciler.model.policy import Unspecified
from reconciler.model.spec import Spec, State

Left = Mapping[Address, Mapping[str, Any]]
"""Object -> field, or option by PVE's name -> value in JSON."""


def as_left(
    desired: Desired, live: State, left: Left
) -> tuple[Desired, Mapping[Address, tuple[str, ...]]]:
    """The files as if they gave what they leave open and is not as it is remembered, and what that
    is."""
    objects, pinned = dict(desired.objects), {}
    for address, declared in desired.objects.items():
        known, there = left.get(address, {}), live.get(address)
        names = _open(desired, address, declared) if known and there is not None else []
        now = {} if there is None else as_json(there, names)
        names = [name for name in names if name in known and now[name] != known[name]]
        if names:
            pinned[address] = tuple(names)
            spec = declared.spec.with_parts(_values({n: known[n] for n in names}))
            rest = declared.unspecified.difference(names)
            objects[address] = declared._replace(spec=spec, unspecified=rest)
    return replace(desired, objects=objects), pinned


def to_remember(desired: Desired, live: State, left: Left) -> dict[Address, dict[str, Any]]:
    """What the next report compares with: what was remembered, or else what is there now."""
    found = {}
    for address, declared in desired.objects.items():
        names = _open(desired, address, declared)
        there = live.get(address)
        if names and there is not None:
            found[address] = {**as_json(there, names), **_known(left.get(address, {}), names)}
    return found


def _known(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}


def _open(desired: Desired, address: Address, declared: Declared) -> list[str]:
    if desired.policy.managed(address.kind).unspecified is Unspecified.CLEAR:
        return []
    names = declared.unspecified & watched(kind_of(address).toml.table)
    if declared.notes.get("members") == "additive":  # others are expected to add members
        names -= {"guests", "storages"}
    return sorted(names)


def as_json(spec: Spec, names: Iterable[str]) -> dict[str, Any]:
    """Some fields or options of a spec; None for an option that is not set."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in spec.parts(names).items()
    }


def _values(values: Mapping[str, Any]) -> dict[str, Any]:
    """As the spec holds them; lists are tuples there."""
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
