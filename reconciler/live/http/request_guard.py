"""Refuse to send requests that Proxmox VE accepts although they do harm."""

from __future__ import annotations

from reconciler.errors import Refused
from reconciler.model.request import Request
from reconciler.pve.realm_options import REALM_TYPES
from reconciler.pve.sections import SectionType
from reconciler.pve.storage_options import STORAGE_SECTIONS


def _required(types: dict[str, SectionType]) -> frozenset[str]:
    return frozenset(option for one in types.values() for option in one.required)


_NEVER_EMPTY = {
    ("access", "domains"): _required(dict(REALM_TYPES)),
    ("storage",): _required(dict(STORAGE_SECTIONS)),
}
"""Options that are required in some type, by the path of the collection."""


def refuse_traps(request: Request) -> None:
    """Raise `Refused` for the two requests that Proxmox VE should refuse but does not.

    An empty required option of a realm or storage makes the object unreadable and blocks every
    later write to its file. An empty `exclude` of a backup job makes it back up all guests.
    """
    empty = {name for name, value in request.params if value in ("", ())}
    for collection, options in _NEVER_EMPTY.items():
        inside = request.path[: len(collection)] == collection
        if inside and (harmful := sorted(empty & options)):
            raise Refused(
                f"{request.method} {request.target} with an empty {harmful[0]} would make the file"
                " unreadable for Proxmox VE; it was not sent",
                hint=f"set {harmful[0]} to a value; where it is optional, clear it with `delete`",
            )
    if request.path[:2] == ("cluster", "backup") and "exclude" in empty:
        if ("all", "1") in request.params:
            return
        raise Refused(
            f"{request.method} {request.target} with an empty exclude would make the job back up"
            " every guest; it was not sent",
            hint="clear it with `delete=exclude`",
        )
