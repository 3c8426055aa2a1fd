"""Read and write lock objects: groups whose comment holds the owner, the lease and the fence."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.errors import Locked, RequestRefused
from reconciler.kinds.group import GROUPS
from reconciler.model.api import Api
from reconciler.model.request import request
from reconciler.model.run import LOCK_PREFIX, LockRecord

_NUMBER = re.compile("[0-9]{1,18}")
"""A claim or a fencing number: milliseconds, for longer than anybody will live."""


def comment(holder: LockRecord) -> str:
    """The comment of the lock's group."""
    fields = {
        "fence": holder.fence,
        "host": holder.host,
        "owner": holder.owner,
        "run": holder.run,
        "until": int(holder.until),
    }
    return "lock of pvectl " + json.dumps(fields, sort_keys=True)


def lock_records(api: Api) -> list[LockRecord]:
    """All lock objects, live and dead, lowest claim first."""
    return records_in(api.get([GROUPS])[0])


def records_in(groups: Iterable[Mapping[str, Any]]) -> list[LockRecord]:
    """The same, from an answer to `GET /access/groups`."""
    found = []
    for row in groups:
        number = row["groupid"].removeprefix(LOCK_PREFIX)
        if number != row["groupid"] and _NUMBER.fullmatch(number):
            found.append(_parse(int(number), row.get("comment") or ""))
    return sorted(found)


def known_as(there: Iterable[LockRecord]) -> frozenset[int]:
    """What identifies these lock objects."""
    return frozenset(number for holder in there for number in (holder.claim, holder.fence))


def _parse(claim: int, comment: str) -> LockRecord:
    """The lock in a comment; an unreadable one counts as a lock that never ends, which a person has
    to check.
    """
    unknown = LockRecord(claim, claim, "unknown", "", float("inf"))
    try:
        fields = json.loads(comment[comment.index("{") :])
        holder = LockRecord(
            claim=claim,
            fence=int(fields.get("fence", claim)),
            owner=str(fields["owner"]),
            run=str(fields["run"]),
            until=float(fields["until"]),
            host=str(fields.get("host", "")),
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return unknown
    usable = _NUMBER.fullmatch(str(holder.fence)) and math.isfinite(holder.until)
    return holder if usable else unknown


def remove(api: Api, holder: LockRecord) -> None:
    """Delete a lock object, if it still exists."""
    try:
        api.send(request("DELETE", "access", "groups", holder.group))
    except RequestRefused as refused:
        if "does not exist" not in refused.reason:
            raise


def unlock(api: Api, fence: int) -> LockRecord:
    """Remove one lock by its fencing number; raises Locked when it does not exist."""
    for holder in lock_records(api):
        if holder.fence == fence:
            remove(api, holder)
            return holder
    raise Locked(f"there is no lock with the number {fence}", hint="`pvectl status` shows the lock")
