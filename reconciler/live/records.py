"""Tasks and logins around differences, from /cluster/tasks and /cluster/log.

Proxmox VE keeps no author of a change to users, groups, roles, entries, pools, realms, storages and
jobs. It records the tasks that change some of them, and who logged in; calls of API tokens and the
shell of a node leave no trace in either.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from reconciler.access.evaluate import privileges
from reconciler.access.table import AccessTable
from reconciler.errors import RequestRefused
from reconciler.model.address import Address
from reconciler.model.api import Api
from reconciler.model.records import Logins, RecordedTask, Records
from reconciler.model.request import request

TASKS = request("GET", "cluster", "tasks")
"""All with Sys.Audit on / (PVE::API2::Cluster)."""
LOG = request("GET", "cluster", "log", max=1000)
"""All entries with Sys.Syslog on /, else one's own (PVE::API2::Cluster)."""

SYNC = "auth-realm-sync"
_GUESTS = re.compile(r"(?:qm|vz)(?:create|restore|destroy|clone|template)")
_LOGIN = "successful auth for user '"


def records(
    api: Api, table: AccessTable, concerned: Collection[Address], since: int, now: int
) -> Records:
    """What was recorded since the report before and may have made these differences."""
    try:
        tasks, log = api.get([TASKS, LOG])
    except RequestRefused as refused:
        return Records(since, unseen=f"tasks and logins cannot be read: {refused.reason}")
    held = privileges(table, api.actor, "/")
    unseen = "" if "Sys.Syslog" in held else f"{api.actor} lacks Sys.Syslog on / to see logins"
    logins = () if unseen or not since else tuple(_logins(log, since, now))
    return Records(since, tuple(_tasks(tasks, concerned, since)), logins, (), unseen)


def _tasks(
    rows: Iterable[Mapping[str, Any]], concerned: Collection[Address], since: int
) -> Iterator[RecordedTask]:
    """The newest first."""
    for row in sorted(rows, key=lambda row: -int(row.get("starttime") or 0)):
        kind, subject = str(row.get("type") or ""), str(row.get("id") or "")
        started = int(row.get("starttime") or 0)
        if started >= since and any(_may_have(kind, subject, one) for one in concerned):
            user = "!".join(
                filter(None, (str(row.get("user") or ""), str(row.get("tokenid") or "")))
            )
            yield RecordedTask(started, kind, subject, user, str(row.get("status") or "running"))


def _may_have(kind: str, subject: str, address: Address) -> bool:
    """Whether a task of this kind may have changed the object."""
    if kind == SYNC:
        who = address.id
        return (address.kind == "user" and who.endswith(f"@{subject}")) or (
            address.kind == "group" and who.endswith(f"-{subject}")
        )
    if _GUESTS.fullmatch(kind):
        return address.kind == "pool" or (
            address.kind == "acl" and address.id.startswith(f"/vms/{subject}|")
        )
    return False


def _logins(rows: Iterable[Mapping[str, Any]], since: int, now: int) -> Iterator[Logins]:
    """Those who logged in, the last one first."""
    times: dict[str, list[int]] = {}
    for row in rows:
        text, moment = str(row.get("msg") or ""), int(row.get("time") or 0)
        if text.startswith(_LOGIN) and since <= moment <= now:
            times.setdefault(text.removeprefix(_LOGIN).rstrip("'"), []).append(moment)
    for user in sorted(times, key=lambda name: (-max(times[name]), name)):
        yield Logins(user, len(times[user]), max(times[user]))
