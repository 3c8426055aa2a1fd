"""Whether drills can be run: privileges, disk space, memory; reported before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from reconciler.access.contents import ROOT
from reconciler.cli.drill.choice import Chosen, Cluster, Row
from reconciler.errors import Refused
from reconciler.kinds.backup.drill import (
    archive_needs,
    bridge_needs,
    guest_needs,
    root_needs,
    storage_of_archive,
)
from reconciler.kinds.kind import Need
from reconciler.kinds.shared.field_types import split_list
from reconciler.live.reader import held_on
from reconciler.model.finding import Finding, Severity
from reconciler.planning.checks.preflight import MISSING_PRIVILEGE, ways
from reconciler.pve.guest_config import LXC, memory_bytes, only_for_root, volumes, wants_agent
from reconciler.text.humanize import count, size

DRILL_IMPOSSIBLE = "DRILL_IMPOSSIBLE"
_THICK = frozenset({"lvm"})
"""Types of storage that take the whole size of a disk at once."""

Held = Mapping[str, Mapping[str, Any]]


def require_possible(actor: str, cluster: Cluster, held: Held, chosen: Sequence[Chosen]) -> None:
    """Raises Refused with everything that prevents the drill."""
    found = [one for one in dict.fromkeys(_findings(actor, cluster, held, chosen)) if one]
    if found:
        raise Refused(
            f"no drill was started: {count(len(found), 'thing')} must be corrected first",
            hint="`pvectl bootstrap --for drill` prints the `pveum` lines for all privileges"
            if any(one.code == MISSING_PRIVILEGE for one in found)
            else "nothing was sent",
            findings=found,
        )


def unchecked(cluster: Cluster, chosen: Iterable[Chosen]) -> list[str]:
    """Nodes whose memory the caller cannot see."""
    nodes = {one.plan.node for one in chosen if one.plan.start}
    return [node for node in sorted(nodes) if "maxmem" not in _node(cluster.rows, node)]


def _findings(
    actor: str, cluster: Cluster, held: Held, chosen: Sequence[Chosen]
) -> Iterator[Finding]:
    for one in (one for one in chosen if not one.failure):
        needs = dict.fromkeys(_needs(one, held))
        for need in needs:
            if not _holds(held, need):
                yield Finding(MISSING_PRIVILEGE, Severity.ERROR, f"{actor} lacks {_asked(need)}")
        if actor != ROOT:
            yield from _for_root(one)
        yield from _agent(one)
        yield from _room(cluster, one)
        yield from _memory(cluster, one)


def _needs(one: Chosen, held: Held) -> Iterator[Need]:
    plan, saved, _ = one
    yield from archive_needs(plan.guest, storage_of_archive(plan.archive.volume), plan.storage)
    yield from guest_needs(plan, plan.ids[0], saved)
    yield from bridge_needs(saved, _zones(held))
    yield from root_needs(plan.kind, saved)


def _zones(held: Held) -> list[tuple[str, str]]:
    """Zone and network of each path on which the caller has anything."""
    parts = [path.split("/") for path in held if path.startswith("/sdn/zones/")]
    return [(one[3], one[4]) for one in parts if len(one) > 4]


def _holds(held: Held, need: Need) -> bool:
    return any(all(name in held_on(held, path) for path, name in way) for way in need.any_of)


def _asked(need: Need) -> str:
    """The first alternative, in words."""
    return ways(need._replace(any_of=need.any_of[:1]))


def _for_root(one: Chosen) -> Iterator[Finding]:
    options = only_for_root(one.plan.kind, one.saved)
    if options:
        yield _impossible(
            f"guest {one.plan.guest} has host devices, which only root@pam may restore: "
            f"{', '.join(options)}",
            "map them (Datacenter, Resource Mappings), and back up the guest again",
        )


def _agent(one: Chosen) -> Iterator[Finding]:
    plan, saved, _ = one
    asked = plan.start and any(check.agent for check in plan.checks)
    if asked and (plan.kind == LXC or not wants_agent(saved)):
        what = "is a container" if plan.kind == LXC else "has none configured"
        yield _impossible(
            f"guest {plan.guest} needs its QEMU guest agent for the check, but {what}",
            "check it with a command, or set agent = 1 in the guest's options and back it up again",
        )


def _room(cluster: Cluster, one: Chosen) -> Iterator[Finding]:
    plan = one.plan
    row = cluster.storage(plan.storage, plan.node)
    if row is None:
        return
    content = "rootdir" if plan.kind == LXC else "images"
    if content not in split_list(row.get("content") or ""):
        yield _impossible(
            f"storage {plan.storage} does not accept {content}",
            f"choose another one in [drill], or allow {content} there",
        )
    free = int(row.get("maxdisk") or 0) - int(row.get("disk") or 0)
    thick = row.get("plugintype") in _THICK
    whole = sum(volume.size for volume in volumes(plan.kind, one.saved))
    needed = whole if thick else plan.archive.size
    if row.get("maxdisk") and free < needed:
        yield _impossible(
            f"storage {plan.storage} on {plan.node} has {size(max(0, free))} free, but guest "
            f"{plan.guest} needs at least {size(needed)}",
            "free some space there, or choose another storage in [drill]",
        )


def _memory(cluster: Cluster, one: Chosen) -> Iterator[Finding]:
    plan = one.plan
    row = _node(cluster.rows, plan.node)
    if not plan.start or "maxmem" not in row:
        return
    free = int(row["maxmem"]) - int(row.get("mem") or 0)
    needed = memory_bytes(one.saved)
    if free < needed:
        yield _impossible(
            f"node {plan.node} has {size(max(0, free))} of memory free, but guest {plan.guest} may "
            f"use {size(needed)}",
            "wait, or set start = false in [drill]",
        )


def _node(rows: Iterable[Row], name: str) -> Row:
    return next((row for row in rows if row["type"] == "node" and row["node"] == name), {})


def _impossible(message: str, hint: str) -> Finding:
    return Finding(DRILL_IMPOSSIBLE, Severity.ERROR, message, hint)
