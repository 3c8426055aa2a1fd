"""What a drift report reads besides: second factors, and the secrets that Proxmox VE returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from reconciler.cli.common_options import CommonOptions
from reconciler.cli.terminal.output import info
from reconciler.errors import RequestRefused
from reconciler.execution.secrets import fingerprints
from reconciler.kinds.user.second_factors import TFA, second_factors
from reconciler.live.reader import Live, returned_secrets
from reconciler.model.address import Address
from reconciler.model.api import Api
from reconciler.model.declared import Desired
from reconciler.model.drift_memory import Memory, Observed
from reconciler.planning.observed import newcomers, of_jobs, of_members, of_storages, of_users

ALTERED = "altered"
"""In place of a digest: the object is not as it was left, though its digest does not show it."""


class Observation(NamedTuple):
    """`now`: what is there; `memory`: the last report, with what was sent from here since.

    `altered`: declared objects with a secret that is not the one last sent.
    """

    now: Observed
    memory: Memory
    altered: frozenset[Address]


def observe(
    common: CommonOptions, api: Api, live: Live, desired: Desired, memory: Memory, folder: Path
) -> Observation:
    """One request, whatever the number of users."""
    now: dict[Address, Mapping[str, object]] = {}
    try:
        factors = second_factors(api.get([TFA])[0])
        now.update(of_users(factors, live.state, live.table(), desired.policy))
    except RequestRefused as refused:
        info(common, f"second factors are not compared: {refused.reason}")
    members = of_members(live.state, desired)
    now.update(members)
    values = returned_secrets(live)
    altered = fingerprints.altered(folder, values)
    before = {**memory.observed, **newcomers(members, memory)}
    known = {address: dict(one) for address, one in before.items()}
    try:
        hashes = fingerprints.hashes(folder, values)
    except OSError as error:
        info(common, f"secrets of realms are not compared: {error.strerror}")
        hashes = {}
    now.update({**of_storages(live.state), **of_jobs(live.state)})
    for address, shown in live.shown.items():
        now[address] = {name: value or None for name, value in shown.items()}
    sent = fingerprints.hashes_sent(folder)
    for address, own in hashes.items():
        now[address] = {name: own.get(name) for name in live.answered[address]}
        if address in altered:
            del now[address]
            continue
        for name, value in own.items():
            if sent.get(str(address), {}).get(name) == value:
                known.setdefault(address, {})[name] = value
    return Observation(now, replace(memory, observed=known), frozenset(altered))
