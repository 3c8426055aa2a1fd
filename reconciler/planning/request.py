"""The input of a plan, besides the two states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.model.address import Address
from reconciler.model.finding import Finding
from reconciler.model.secret import SecretRef


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """Which cluster to plan for, acting principal ("" if unknown), time and scope.

    `targets`: globs over addresses. `allowed`: refusals that the operator allows by name.
    `now` in Unix seconds. `changed_secrets`: parameters whose secret differs from the one sent
    last, by object. `identity`: the fingerprint of the cluster's CA, if known. `files`:
    SHA-256 of each file of the state folder. `bad_passwords`: users -> why Proxmox VE would refuse
    their password. `earlier`: what the files declared earlier, in the commit `since` if it is one.
    `sent_again`: parameters whose secret is to be sent whether it differs or not; `not_compared`:
    those of which this machine does not know what was sent last. `weaker`: where the policy asks
    for less than it did there.
    `fresh`: what they declare since then, or otherwise. `against`: the state folder to compare with
    instead of a cluster. `missing_secrets`: references to secrets
    that are not here -> why. `open_secrets`: files of secrets that other accounts can read.
    """

    cluster: str
    actor: str
    now: int
    source: str = ""
    targets: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    changed_secrets: Mapping[Address, tuple[str, ...]] = field(default_factory=dict)
    sent_again: Mapping[Address, tuple[str, ...]] = field(default_factory=dict)
    not_compared: Mapping[Address, tuple[str, ...]] = field(default_factory=dict)
    bad_passwords: Mapping[Address, str] = field(default_factory=dict)
    missing_secrets: Mapping[SecretRef, str] = field(default_factory=dict)
    open_secrets: tuple[str, ...] = ()
    identity: str = ""
    against: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    earlier: frozenset[Address] = frozenset()
    since: str = ""
    weaker: tuple[Finding, ...] = ()
    fresh: frozenset[Address] = frozenset()
