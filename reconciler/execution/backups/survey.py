"""List every archive of a cluster: one request per storage, and per node where the storage is
local.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, tzinfo
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from reconciler.errors import RequestRefused, Unreachable
from reconciler.execution.backups.archives import archives_of, listing
from reconciler.kinds.shared.field_types import split_list
from reconciler.model.api import Api
from reconciler.model.backups import Archive
from reconciler.model.recoverability import LastTask
from reconciler.model.request import Request, request

Row = Mapping[str, Any]


class Survey(NamedTuple):
    """`found`: storage and archive, `nodes`: for each of them the node that listed it. `unread`: a
    storage on a node, and why it was not listed."""

    found: tuple[tuple[str, Archive], ...]
    nodes: tuple[str, ...]
    unread: tuple[tuple[str, str], ...]
    tasks: tuple[LastTask, ...]
    zone: tzinfo


def survey(api: Api, resources: Iterable[Row]) -> Survey:
    """List all archives. `resources`: the rows of /cluster/resources. Unreadable storages are
    named, and do not hide others.
    """
    rows = list(resources)
    nodes = sorted(row["node"] for row in rows if row["type"] == "node")
    places, unread = places_of(rows)
    asked = [listing(node, storage) for storage, node in places]
    about = [request("GET", "nodes", node, "tasks", typefilter="vzdump", limit=1) for node in nodes]
    clock = [request("GET", "nodes", nodes[0], "time")] if nodes else []
    answers = answers_or_reasons(api, [*asked, *about, *clock])
    found: list[tuple[str, Archive]] = []
    by: list[str] = []
    for (storage, node), answer in zip(places, answers, strict=False):
        if isinstance(answer, str):
            unread.append((f"{storage} on {node}", answer))
        else:
            listed = archives_of(answer)
            found += ((storage, archive) for archive in listed)
            by += [node] * len(listed)
    told = answers[len(asked) : len(asked) + len(nodes)]
    tasks = [
        _task(node, answer[0]) for node, answer in zip(nodes, told, strict=True) if _has(answer)
    ]
    zone = (zone_of(answers[-1]) if clock else None) or UTC
    return Survey(tuple(found), tuple(by), tuple(sorted(unread)), tuple(tasks), zone)


def places_of(rows: Sequence[Row]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Storage and node of each list to read, and the storages that cannot be read."""
    shared: dict[str, list[Row]] = {}
    places, unread = [], []
    for row in rows:
        if row["type"] != "storage" or "backup" not in split_list(row.get("content") or ""):
            continue
        if int(row.get("shared") or 0):
            shared.setdefault(row["storage"], []).append(row)
        elif row.get("status") == "available":
            places.append((row["storage"], row["node"]))
        else:
            unread.append((f"{row['storage']} on {row['node']}", "it is not available there"))
    for storage, everywhere in shared.items():
        usable = sorted(row["node"] for row in everywhere if row.get("status") == "available")
        if usable:
            places.append((storage, usable[0]))
        else:
            unread.append((storage, "it is available on no node"))
    return sorted(places), unread


def answers_or_reasons(api: Api, asked: Sequence[Request]) -> list[Any]:
    """Send all requests at once; if one is refused, send each separately and return the reason in
    place of its answer.
    """
    try:
        return api.get(asked)
    except (RequestRefused, Unreachable):
        return [_answer(api, one) for one in asked]


def _answer(api: Api, asked: Request) -> Any:
    try:
        return api.get([asked])[0]
    except (RequestRefused, Unreachable) as error:
        return error.summary


def _has(answer: Any) -> bool:
    return bool(answer) and not isinstance(answer, str)


def _task(node: str, row: Row) -> LastTask:
    return LastTask(node, int(row.get("starttime") or 0), str(row.get("status") or ""), row["upid"])


def zone_of(answer: Any) -> tzinfo | None:
    """The time zone of a node, which its schedules use; None where it is not known."""
    try:
        return None if isinstance(answer, str) else ZoneInfo(str(answer["timezone"]))
    except (ZoneInfoNotFoundError, ValueError):
        return None
