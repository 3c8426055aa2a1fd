"""What Proxmox VE would remove by given rules, in its own words: `prunebackups` is a dry run.

It needs Datastore.Audit alone and, unlike a content list, omits no archives.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from reconciler.execution.backups.survey import answers_or_reasons, places_of, zone_of
from reconciler.model.api import Api
from reconciler.model.backups import Archive
from reconciler.model.inventory import ArchivePlace, Kept
from reconciler.model.request import Request, request
from reconciler.pve.retention import PruneMark


class _Question(NamedTuple):
    storage: str
    node: str
    shared: bool
    rules: str


def dry_runs(
    api: Api, resources: Iterable[Mapping[str, Any]], rules: Mapping[str, Collection[str]]
) -> Kept:
    """The archives of the storages that `rules` names, and which of them each set of rules would
    remove: storage -> rules as Proxmox VE spells them. Sends a request for each of them, per node
    where the storage is local, and one per node for its clock.
    """
    rows = [one for one in resources if one["type"] != "storage" or one["storage"] in rules]
    shared = {one["storage"] for one in rows if one["type"] == "storage" and _is_shared(one)}
    places, unread = places_of(rows)
    asked = [
        _Question(storage, node, storage in shared, text)
        for storage, node in places
        for text in sorted(rules[storage])
    ]
    nodes = sorted({one.node for one in asked})
    clocks = [request("GET", "nodes", node, "time") for node in nodes]
    answers = answers_or_reasons(api, [*map(_request, asked), *clocks])
    told = answers[len(asked) :]
    zones = {node: zone_of(answer) for node, answer in zip(nodes, told, strict=True)}
    unseen = {place.split(" on ")[0]: why for place, why in unread}
    found: dict[tuple[str, str], ArchivePlace] = {}
    for one, answer in zip(asked, answers, strict=False):
        if isinstance(answer, str):
            unseen[one.storage] = answer
            continue
        key = (one.storage, "" if one.shared else one.node)
        place = found.get(key) or ArchivePlace(
            *key, tuple(map(_archive, answer)), {}, zones[one.node]
        )
        gone = frozenset(row["volid"] for row in answer if row["mark"] == PruneMark.REMOVE)
        found[key] = place._replace(removed={**place.removed, one.rules: gone})
    return Kept(tuple(found.values()), unseen)


def _is_shared(row: Mapping[str, Any]) -> bool:
    return bool(int(row.get("shared") or 0))


def _request(one: _Question) -> Request:
    path = ("nodes", one.node, "storage", one.storage, "prunebackups")
    return Request("GET", path, (("prune-backups", one.rules),))


def _archive(row: Mapping[str, Any]) -> Archive:
    return Archive(
        str(row["volid"]),
        int(row.get("vmid") or 0),
        int(row.get("ctime") or 0),
        0,
        str(row.get("type") or ""),
        protected=row["mark"] == PruneMark.PROTECTED,
        renamed=row["mark"] == PruneMark.RENAMED,
    )
