"""List the archives on a storage through the API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.model.api import Api
from reconciler.model.backups import Archive
from reconciler.model.request import Request, request
from reconciler.pve.retention import is_renamed


def listing(node: str, storage: str) -> Request:
    """The request that lists the archives of a storage as one node sees it."""
    return request("GET", "nodes", node, "storage", storage, "content", content="backup")


def archives_on(api: Api, node: str, storage: str) -> list[Archive]:
    """The archives of a storage, oldest first. Proxmox VE silently omits those of guests on which
    the caller lacks VM.Backup.
    """
    return archives_of(api.get([listing(node, storage)])[0])


def archives_of(rows: Iterable[Mapping[str, Any]]) -> list[Archive]:
    """The archives in the rows of such a list, oldest first."""
    found = (_archive(row) for row in rows)
    return sorted(found, key=lambda archive: (archive.made, archive.volume))


def _archive(row: Mapping[str, Any]) -> Archive:
    volume = str(row["volid"])
    verification = row.get("verification") or {}
    return Archive(
        volume,
        int(row.get("vmid") or 0),
        int(row.get("ctime") or 0),
        int(row.get("size") or 0),
        str(row.get("subtype") or ""),
        protected=bool(int(row.get("protected") or 0)),
        notes=str(row.get("notes") or ""),
        verified=str(verification.get("state") or ""),
        renamed=is_renamed(volume),
    )
