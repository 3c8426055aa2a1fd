"""What a cluster has that pvectl does not manage, but must know of: guests, nodes, the release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from reconciler.pve.release import NEWEST, Release


class Guest(NamedTuple):
    """A virtual machine or container; `kind` is qemu or lxc."""

    vmid: int
    name: str
    kind: str
    node: str
    template: bool = False
    pool: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """`guests` holds only those that the caller may see.

    `ghosts`: users that do not exist -> the groups that still name them as members.
    `release`: the version as the cluster spells it. `pve`: its privileges and built-in roles.
    """

    release: str = ""
    guests: Mapping[int, Guest] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()
    ghosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pve: Release = NEWEST
