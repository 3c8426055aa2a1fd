"""What is to be planned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.model.address import Address


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What is to be planned: where, by whom (empty: nobody in particular), when, and how far.

    `targets` are globs over addresses; `allowed` the refusals that the operator lets pass by name.
    `now` in Unix seconds. `changed_secrets`: parameters whose secret is another one than was sent
    last, by object. `identity`: the fingerprint of the cluster's CA, where it is told. `files`:
    SHA-256 of each file of the state folder. `bad_passwords`: users -> why Proxmox VE would refuse
    their password. `earlier`: what the files declared earlier, in the commit `since` if it is one.
    `fresh`: what they declare since then, or otherwise.
    """

    cluster: str
    actor: str
    now: int
    source: str = ""
    targets: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    changed_secrets: Mapping[Address, tuple[str, ...]] = field(default_factory=dict)
    bad_passwords: Mapping[Address, str] = field(default_factory=dict)
    identity: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    earlier: frozenset[Address] = frozenset()
    since: str = ""
    fresh: frozenset[Address] = frozenset()
