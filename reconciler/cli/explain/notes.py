"""Notes beside an answer about access: names in the question that do not exist."""

from __future__ import annotations

from reconciler.cli.explain.source import (
    POOLS,
    AccessView,
)
from reconciler.live.reader import DECIDING
from reconciler.text.suggest import did_you_mean


def kinds_for(path: str) -> tuple[str, ...]:
    """The kinds to read for an answer. Pools, and the right to read them, matter only on paths of
    their members.
    """
    return (*DECIDING, POOLS) if path.startswith(("/vms/", "/storage/")) else DECIDING


def notes_on(seen: AccessView, path: str, realm: str) -> list[str]:
    """`realm`: of the user; empty for the members of a group."""
    notes = []
    if realm and seen.realms is not None and realm not in seen.realms:
        notes.append(f"Realm {realm} does not exist, so none of its users can log in.")
    known_below = {
        "/vms/": ("guest", [str(vmid) for vmid in seen.facts.guests]),
        "/nodes/": ("node", [*seen.facts.nodes]),
        "/access/groups/": ("group", _ids(seen, "group")),
        "/access/realm/": ("realm", [*(seen.realms or {})]),
        "/pool/": ("pool", _ids(seen, "pool")),
    }
    for head, (what, known) in known_below.items():
        name = path.removeprefix(head)
        if name != path and seen.facts.nodes and known and name not in known:
            likely = did_you_mean(name, known)
            notes.append(f"There is no {what} {name}{f'; {likely}' if likely else '.'}")
    return notes


def _ids(seen: AccessView, kind: str) -> list[str]:
    return [address.id for address in seen.state if address.kind == kind]
