"""Disks that no backup of their guest includes: `backup=0`, mount points without `backup=1`, and
folders and devices of the node. One request per backup job.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.execution.backups.survey import answers_or_reasons
from reconciler.model.api import Api
from reconciler.model.recoverability import LeftOutDisk
from reconciler.model.request import Request, request

_WHY = {
    ("qemu", "disabled"): "backup=0",
    ("lxc", "disabled"): "without backup=1",
    ("lxc", "not a volume"): "of the node, not a volume",
}
"""Type of guest, and the reason of Proxmox VE -> in words."""


def disks_left_out(api: Api, jobs: Iterable[str]) -> Mapping[int, tuple[LeftOutDisk, ...]]:
    """Guest -> its disks that are left out, for guests of these jobs that the caller may see.

    It is a property of the disk, the same in every job (`get_volume_backup_included` of
    PVE::API2::Backup). A job that cannot be read is passed over.
    """
    found: dict[int, tuple[LeftOutDisk, ...]] = {}
    for answer in answers_or_reasons(api, list(map(_volumes, jobs))):
        for guest in () if isinstance(answer, str) else answer.get("children") or ():
            disks = tuple(_left_out(guest))
            if disks:
                found[int(guest["id"])] = disks
    return found


def _volumes(job: str) -> Request:
    return request("GET", "cluster", "backup", job, "included_volumes")


def _left_out(guest: Mapping[str, Any]) -> Iterable[LeftOutDisk]:
    for disk in guest.get("children") or ():
        if not int(disk.get("included") or 0):
            reason = str(disk.get("reason") or "")
            why = _WHY.get((str(guest.get("type") or ""), reason), reason)
            key = str(disk["id"]).rpartition(":")[2]
            yield LeftOutDisk(key, str(disk.get("name") or ""), why)
