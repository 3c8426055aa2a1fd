"""List the archives of a cluster for a snapshot of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.execution.backups.dry_run import dry_runs
from reconciler.execution.backups.survey import survey
from reconciler.kinds.shared.field_types import split_list
from reconciler.kinds.shared.reader import RESOURCES
from reconciler.model.api import Api
from reconciler.model.inventory import ArchivePlace

Details = Mapping[tuple[str, str, str], Mapping[str, Any]]
"""Storage, node and volume -> what a content list says of it."""

_KEEP_ALL = "keep-all=1"


def known_archives(api: Api) -> dict[str, Any]:
    """What `archives.json` of a snapshot holds (`reconciler.sandbox.backup.listed`).

    All archives, as the dry run of retention names them; their sizes and whether a backup server
    verified them, where the caller may list them.
    """
    (resources,) = api.get([RESOURCES])
    storages = sorted(
        {
            row["storage"]
            for row in resources
            if row["type"] == "storage" and "backup" in split_list(row.get("content") or "")
        }
    )
    kept = dry_runs(api, resources, {storage: [_KEEP_ALL] for storage in storages})
    seen = survey(api, resources)
    details = {
        (storage, node, archive.volume): {"size": archive.size, "verified": archive.verified}
        for (storage, archive), node in zip(seen.found, seen.nodes, strict=True)
    }
    shared = {(storage, "", volume): found for (storage, _, volume), found in details.items()}
    zone = next((place.zone for place in kept.places if place.zone is not None), None)
    return {
        **({"timezone": str(zone)} if zone is not None else {}),
        "unread": dict(sorted(kept.unseen.items())),
        "archives": [row for place in kept.places for row in _rows(place, {**shared, **details})],
    }


def _rows(
    place: ArchivePlace, details: dict[tuple[str, str, str], dict[str, Any]]
) -> list[dict[str, Any]]:
    rows = []
    for archive in sorted(place.archives, key=lambda one: one.volume):
        more = details.get((place.storage, place.node, archive.volume), {})
        row = {
            "storage": place.storage,
            "node": place.node,
            "volume": archive.volume,
            "ctime": archive.made,
            "protected": archive.protected,
            **more,
        }
        rows.append({key: value for key, value in row.items() if value not in ("", False)})
    return rows
