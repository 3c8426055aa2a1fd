"""What a drift report records for the next one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.model.address import Address

Observed = Mapping[Address, Mapping[str, Any]]
"""Object -> what no file can give of it, by name -> value in JSON; of a secret a keyed hash, None
where it is not set."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What the previous report recorded; digests are those of `kinds.fingerprint`.

    `time` in Unix seconds, 0 for none. `differences`: the addresses that it reported. `baseline`:
    each object as the last apply left it, or as a report found it in order. `complete`: what the
    baseline lacks did not exist. `left`: undeclared fields that decide access or protection: object
    -> field or option -> value in JSON. `undeclared` and `acknowledged`: undeclared objects at that
    time. `observed`: what no file can give, such as second factors.
    """

    time: int = 0
    differences: tuple[str, ...] = ()
    baseline: Mapping[Address, str] = field(default_factory=dict)
    left: Mapping[Address, Mapping[str, Any]] = field(default_factory=dict)
    complete: bool = False
    undeclared: Mapping[Address, str] = field(default_factory=dict)
    acknowledged: Mapping[Address, str] = field(default_factory=dict)
    observed: Observed = field(default_factory=dict)
