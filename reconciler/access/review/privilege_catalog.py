"""Privileges for people: where each one applies, its level, and a short description.

Most privileges apply to one kind of place only: Datastore.Audit held on a guest allows nothing. The
places are those at which Proxmox VE's API asks for a privilege.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import IntEnum, StrEnum

from reconciler.pve.acl_paths import chain


class Level(IntEnum):
    """The level of access to objects of one sort."""

    NONE = 0
    VIEW = 1
    """see settings and status"""
    USE = 2
    """use it without changing it"""
    MANAGE = 3
    """change its configuration"""
    CONTROL = 4
    """create it, destroy it, or delegate access to it"""

    @property
    def word(self) -> str:
        return self.name.capitalize()


class ResourceType(StrEnum):
    """The sorts of places, from the least to the most far-reaching."""

    GUESTS = "guests"
    STORAGES = "storages"
    POOLS = "pools"
    NETWORK = "network"
    NODES = "nodes"
    ACCESS = "access"
    CLUSTER = "cluster"


def _table(level: Level, words: Mapping[str, str]) -> dict[str, tuple[Level, str]]:
    return {name: (level, text) for name, text in words.items()}


MEANINGS: Mapping[str, tuple[Level, str]] = {
    **_table(
        Level.VIEW,
        {
            "Datastore.Audit": "see",
            "Mapping.Audit": "see device mappings",
            "Pool.Audit": "see",
            "SDN.Audit": "see networks",
            "Sys.Audit": "see settings and status",
            "Sys.Syslog": "read the system log",
            "VM.Audit": "see",
            "VM.GuestAgent.Audit": "query the guest agent",
        },
    ),
    **_table(
        Level.USE,
        {
            "Datastore.AllocateSpace": "store data on it",
            "Mapping.Use": "use mapped devices",
            "SDN.Use": "use networks",
            "VM.Backup": "back up and restore",
            "VM.Clone": "clone",
            "VM.Config.CDROM": "change the CD-ROM",
            "VM.Config.Cloudinit": "change cloud-init",
            "VM.Console": "open the console",
            "VM.GuestAgent.FileRead": "read files inside",
            "VM.GuestAgent.FileSystemMgmt": "freeze and trim file systems inside",
            "VM.GuestAgent.FileWrite": "write files inside",
            "VM.PowerMgmt": "start and stop",
            "VM.Snapshot": "take and delete snapshots",
        },
    ),
    **_table(
        Level.MANAGE,
        {
            "Datastore.AllocateTemplate": "add and remove templates and ISO images",
            "Group.Allocate": "create and delete groups",
            "Realm.AllocateUser": "create and delete users",
            "Sys.AccessNetwork": "download from the network",
            "Sys.Incoming": "take guests from other clusters",
            "VM.Config.CPU": "change CPUs",
            "VM.Config.Disk": "change disks",
            "VM.Config.HWType": "change emulated hardware",
            "VM.Config.Memory": "change memory",
            "VM.Config.Network": "change network cards",
            "VM.Config.Options": "change options",
            "VM.Migrate": "migrate",
            "VM.Replicate": "replicate",
            "VM.Snapshot.Rollback": "roll back to snapshots",
        },
    ),
    **_table(
        Level.CONTROL,
        {
            "Datastore.Allocate": "create and delete storages and volumes",
            "Mapping.Modify": "change device mappings",
            "Permissions.Modify": "grant any privilege",
            "Pool.Allocate": "create, change and delete pools",
            "Realm.Allocate": "change where accounts come from",
            "SDN.Allocate": "create and delete networks",
            "Sys.Console": "open a node's console",
            "Sys.Modify": "change system settings",
            "Sys.PowerMgmt": "switch nodes off",
            "User.Modify": "change users and create tokens for them",
            "VM.Allocate": "create and delete guests",
            "VM.GuestAgent.Unrestricted": "run anything inside",
            "VM.Monitor": "use the QEMU monitor and the guest agent",
        },
    ),
}
"""Every privilege of the known releases, with its level and its words."""


_LEADING_ON = frozenset(
    {"Permissions.Modify", "Realm.Allocate", "Sys.Console", "Sys.Modify", "User.Modify"}
)


def least(privileges: Sequence[str]) -> str:
    """The least privilege; among equals one that does not lead to others, then the first."""
    return min(privileges, key=lambda name: (_level(name), name in _LEADING_ON))


def breadth(privileges: Collection[str]) -> tuple[int, bool, int]:
    """A sort key for sets of privileges: their level outweighs their number."""
    return level(privileges), not _LEADING_ON.isdisjoint(privileges), len(privileges)


def _level(name: str) -> Level:
    """Level of an unknown privilege: `SEE` if its name says so, otherwise the highest."""
    if name in MEANINGS:
        return MEANINGS[name][0]
    return Level.VIEW if name.endswith(".Audit") else max(Level)


def _starting(*prefixes: str) -> frozenset[str]:
    return frozenset(name for name in MEANINGS if name.startswith(prefixes))


_GRANTING = "Permissions.Modify"
_PLACES: Mapping[str, tuple[ResourceType, tuple[str, ...]]] = {
    "/": (ResourceType.CLUSTER, ("Sys.", _GRANTING)),
    "/access": (ResourceType.ACCESS, ("Sys.Audit", "Sys.Modify", _GRANTING)),
    "/access/groups": (ResourceType.ACCESS, ("User.", "Group.", "Sys.Audit", _GRANTING)),
    "/access/realm": (ResourceType.ACCESS, ("Realm.", "Sys.Audit", _GRANTING)),
    "/mapping": (ResourceType.NETWORK, ("Mapping.", _GRANTING)),
    "/nodes": (ResourceType.NODES, ("Sys.", _GRANTING)),
    "/pool": (ResourceType.POOLS, ("Pool.", "VM.Allocate", "VM.Backup", _GRANTING)),
    "/sdn": (ResourceType.NETWORK, ("SDN.", _GRANTING)),
    "/storage": (ResourceType.STORAGES, ("Datastore.", _GRANTING)),
    "/vms": (ResourceType.GUESTS, ("VM.", _GRANTING)),
}
"""The root path of a sort, and the prefixes of privileges that apply there and below."""


def counting(path: str) -> tuple[ResourceType, tuple[str, ...]] | None:
    """The sort of a path and the beginnings of the privileges that count on it; None where none
    does."""
    above = chain(path)
    if path == "/":
        return _PLACES["/"]
    return next((_PLACES[place] for place in reversed(above[1:]) if place in _PLACES), None)


def level(privileges: Iterable[str]) -> Level:
    """The highest level of any of them."""
    return max((_level(name) for name in privileges), default=Level.NONE)


_ALL_OF = (
    ("change all settings", _starting("VM.Config.")),
    ("work inside through the guest agent", _starting("VM.GuestAgent.")),
)
"""Words for privileges that are held together."""


def privilege_in_words(privileges: Iterable[str]) -> str:
    """`see, start and stop, open the console`: the least first; `nothing` for none."""
    rest = frozenset(privileges)
    words = []
    for text, together in _ALL_OF:
        if together <= rest:
            rest -= together
            words.append((level(together), text))
    words += [meaning for name, meaning in MEANINGS.items() if name in rest]
    words += [(_level(name), name) for name in sorted(rest - MEANINGS.keys())]
    in_order = sorted(words, key=lambda one: one[0])
    return ", ".join(dict.fromkeys(text for _, text in in_order)) or "nothing"
