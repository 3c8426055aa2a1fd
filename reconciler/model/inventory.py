"""What pvectl does not manage but must know of a cluster: guests, nodes, the release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import NamedTuple

from reconciler.model.backups import Archive
from reconciler.model.health import NOT_ASKED, Health
from reconciler.pve.release import NEWEST, Release


class Guest(NamedTuple):
    """A virtual machine or container; `kind` is qemu or lxc."""

    vmid: int
    name: str
    kind: str
    node: str
    template: bool = False
    pool: str = ""


class Unread(NamedTuple):
    """Something in a file of the cluster that Proxmox VE ignores when it reads the file.

    `line` counts from 1; `blocks`: Proxmox VE refuses to write the file until it is removed.
    """

    file: str
    line: int
    text: str
    blocks: bool = False


class Strays(NamedTuple):
    """Guests and storages that a pool names but that do not exist."""

    guests: tuple[int, ...] = ()
    storages: tuple[str, ...] = ()


class ArchivePlace(NamedTuple):
    """The archives of a storage, on one node unless it is shared, where `node` is empty.

    `removed`: rules, as Proxmox VE spells them -> the volumes that its dry run would remove.
    `zone`: the time zone of the node, which defines a day; None where it is not known.
    """

    storage: str
    node: str
    archives: tuple[Archive, ...]
    removed: Mapping[str, frozenset[str]] = {}
    zone: tzinfo | None = UTC


class Kept(NamedTuple):
    """The archives on the storages that a plan concerns, where they had to be read.

    `unseen`: a storage, and why its archives, or some of them, are missing.
    """

    places: tuple[ArchivePlace, ...] = ()
    unseen: Mapping[str, str] = {}


NOTHING_SEEN = Kept()


@dataclass(frozen=True, slots=True)
class Facts:
    """`guests` holds only those that the caller may see.

    `ghosts`: users that do not exist -> the groups that still name them as members. `unread`: what
    Proxmox VE skips in its files, if these are visible. `strays`: pool -> nonexistent members,
    which still count for access. `unsaved`: guests that the state files leave out of backups on
    purpose. `release`: the version as the cluster spells it. `pve`: its privileges and built-in
    roles. `kept`: archives that a change of retention may reach. `health`: of the cluster, as far
    as it was asked. `complete`: the state that belongs to it is a whole cluster; otherwise only
    what another state folder declares.
    """

    release: str = ""
    guests: Mapping[int, Guest] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()
    ghosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unread: tuple[Unread, ...] = ()
    strays: Mapping[str, Strays] = field(default_factory=dict)
    unsaved: frozenset[int] = frozenset()
    pve: Release = NEWEST
    kept: Kept = NOTHING_SEEN
    health: Health = NOT_ASKED
    complete: bool = True
