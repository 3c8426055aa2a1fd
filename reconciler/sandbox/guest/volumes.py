"""Volumes: `STORAGE:NAME`, the parts of a name, and who may use one.

PVE source: `parse_volume_id` and `check_volume_access` of PVE::Storage, `parse_volname` of its
plugins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from reconciler.access.contents import ROOT
from reconciler.sandbox.backup.archives import Archive, archive_named, refuse_listed
from reconciler.sandbox.config.sections import Section
from reconciler.sandbox.config.storagecfg import available_on, storages
from reconciler.sandbox.context import Context
from reconciler.sandbox.failure import ApiError, died
from reconciler.sandbox.storage.plugins import check_online

_ID = re.compile(r"([A-Za-z][A-Za-z0-9\-_.]*[A-Za-z0-9]):(\S+)")
_BACKUP = re.compile(r"backup/([^/]+\.(?:tgz|(?:tar|vma)(?:\.(?:gz|lzo|zst|bz2))?))")
_GUEST_BACKUP = re.compile(r"vzdump-(?:openvz|lxc|qemu)-(\d+)-.+")
_SNAPSHOT = re.compile(r"backup/(ct|vm|host)/([^/]+)/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_IMAGE = re.compile(r"(\d+)/(\S+)")
_BLOCK = re.compile(r"((?:vm|base|subvol)-(\d+)-\S+)")
_OTHER = re.compile(r"(iso|vztmpl|snippets|import)/([^/]+)")


@dataclass(frozen=True, slots=True)
class Volume:
    """`content` and `guest`, the owner, as far as the name contains them."""

    storage: str
    name: str
    content: str
    guest: int | None

    def __str__(self) -> str:
        return f"{self.storage}:{self.name}"


def split_volume(text: str) -> tuple[str, str] | None:
    """Storage and name of a volume id; None for anything else, such as a path."""
    found = _ID.fullmatch(text)
    return (found[1], found[2]) if found is not None else None


def storage_of_id(ctx: Context, name: str) -> Section:
    """A configured storage, enabled or not."""
    section = storages(ctx.store).get(name)
    if section is None:
        raise died(f"storage '{name}' does not exist")
    return section


def enabled_storage(ctx: Context, name: str) -> Section:
    """A storage that the node may use (`storage_check_enabled`)."""
    section = storage_of_id(ctx, name)
    if section.values.get("disable"):
        raise died(f"storage '{name}' is disabled")
    if not available_on(section, ctx.node):
        raise died(f"storage '{name}' is not available on node '{ctx.node}'")
    return section


def active_storage(ctx: Context, name: str) -> Section:
    """A storage that the node can use now (`activate_storage`)."""
    section = enabled_storage(ctx, name)
    check_online(name, section)
    return section


def volume(ctx: Context, text: str) -> Volume:
    """Parse a volume id; raises if the storage or the name is not valid."""
    split = split_volume(text)
    if split is None:
        raise died(f"unable to parse volume ID '{text}'\n")
    storage, name = split
    section = storage_of_id(ctx, storage)
    content, guest = _parsed(section, name)
    return Volume(storage, name, content, guest)


def _parsed(section: Section, name: str) -> tuple[str, int | None]:
    if section.type == "pbs":
        found = _SNAPSHOT.fullmatch(name)
        if found is None:
            raise died(f"unable to parse PBS volume name '{name}'")
        return "backup", int(found[2]) if found[2].isdigit() else None
    if "path" not in section.values:
        found = _BLOCK.fullmatch(name)
        if found is None:
            raise died(f"unable to parse {_plugin(section)} volume name '{name}'")
        return "images", int(found[2])
    if found := _IMAGE.fullmatch(name):
        return "images", int(found[1])
    if found := _BACKUP.fullmatch(name):
        owner = _GUEST_BACKUP.fullmatch(found[1])
        return "backup", int(owner[1]) if owner is not None else None
    if found := _OTHER.fullmatch(name):
        return found[1], None
    raise died(f"unable to parse directory volume name '{name}'")


def _plugin(section: Section) -> str:
    return {"lvm": "lvm", "lvmthin": "lvm", "zfspool": "zfs", "zfs": "zfs"}.get(
        section.type, section.type
    )


def check_access(ctx: Context, guest: int | None, text: str, content: str = "") -> None:
    """`check_volume_access`: whether the caller may read a volume for use by `guest`."""
    if split_volume(text) is None:
        if ctx.actor != ROOT:
            raise ApiError(
                "Only root can pass arbitrary filesystem paths. "
                "at /usr/share/perl5/PVE/Storage.pm line 651.\n"
            )
        return
    found = volume(ctx, text)
    if content and found.content != content and (content, found.content) != ("rootdir", "images"):
        raise died(f"unable to use volume {text} - content type needs to be '{content}'")
    place = f"/storage/{found.storage}"
    if ctx.may(place, ["Datastore.Allocate"]):
        return
    if found.content in ("iso", "vztmpl", "import"):
        ctx.require(place, ["Datastore.AllocateSpace", "Datastore.Audit"], some=True)
    elif found.guest is not None and found.guest == guest:
        return
    elif found.guest is not None and found.content == "backup":
        ctx.require(place, ["Datastore.AllocateSpace"])
        ctx.require(f"/vms/{found.guest}", ["VM.Backup"])
    elif found.guest is not None and found.content == "images":
        ctx.require(place, ["Datastore.Audit"])
        ctx.require(f"/vms/{found.guest}", ["VM.Config.Disk"])
    else:
        raise died(f"missing privileges to access {text}")


def archive_of(ctx: Context, found: Volume) -> Archive | None:
    """The archive of a volume, if it exists."""
    return archive_named(ctx, found.storage, found.name)


def existing_archive(ctx: Context, text: str) -> Archive:
    """The archive of a volume id; raises PVE's error if it does not exist."""
    if ctx.actor == ROOT and ":" not in text:
        raise died(f"can't find file '{text}'")
    found = volume(ctx, text)
    active_storage(ctx, found.storage)
    archive = archive_of(ctx, found)
    if archive is None:
        raise died(f"volume '{text}' does not exist")
    refuse_listed(archive)
    return archive
