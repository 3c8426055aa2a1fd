"""Quorum, nodes and clocks, from what is read anyway and one more list; each further endpoint is
asked for the same, so that a node with another view of the cluster shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reconciler.errors import RequestRefused
from reconciler.kinds.shared.reader import RESOURCES
from reconciler.model.api import Api, SeesEndpoints
from reconciler.model.health import Health
from reconciler.model.request import Request, request
from reconciler.text.humanize import in_prose

STATUS = request("GET", "cluster", "status")
"""Needs Sys.Audit on / (PVE::API2::Cluster, `get_status`)."""
VERSION = request("GET", "version")

Row = Mapping[str, Any]


def health_of(resources: Iterable[Row], status: Iterable[Row] | None, api: Api) -> Health:
    """From the rows of /cluster/resources and, where the caller may see it, /cluster/status.

    A node that stands alone has no cluster and no quorum to lose.
    """
    nodes = {
        str(row["node"]): row.get("status") != "offline"
        for row in resources
        if row.get("type") == "node"
    }
    quorate: bool | None = None
    for row in status or ():
        if row.get("type") == "cluster":
            quorate = bool(int(row.get("quorate") or 0))
        elif row.get("type") == "node":
            nodes[str(row["name"])] = bool(int(row.get("online") or 0))
    skew = api.clock_skew if isinstance(api, SeesEndpoints) else None
    return Health(quorate, tuple(sorted(nodes.items())), skew=skew)


def ask_health(api: Api) -> Health:
    """Asked for alone, with every endpoint; raises what `Api.get` raises."""
    try:
        resources, status = api.get([RESOURCES, STATUS])
    except RequestRefused:
        (resources,), status = api.get([RESOURCES]), None
    return with_endpoints(api, health_of(resources, status, api))


def with_endpoints(api: Api, health: Health) -> Health:
    """What each further endpoint says of the same: two requests each, all at once."""
    if not isinstance(api, SeesEndpoints):
        return health
    asked: list[Request] = [VERSION] if health.quorate is None else [VERSION, STATUS]
    told = api.get_everywhere(asked)
    mine = told.pop(api.endpoint, None)
    if mine is None or not told:
        return replace(health, skew=api.clock_skew)
    differing = []
    for endpoint, answers in sorted(told.items()):
        words = in_prose(_differences(mine, answers) or [""]) if answers else ""
        if words:
            differing.append((endpoint, f"{words}, {api.endpoint} does not"))
    silent = tuple(sorted(endpoint for endpoint, answers in told.items() if not answers))
    return replace(health, differing=tuple(differing), silent=silent, skew=api.clock_skew)


def _differences(mine: Sequence[Any], theirs: Sequence[Any]) -> list[str]:
    """What the other one says and the one that was asked does not."""
    found = []
    if mine[0].get("version") != theirs[0].get("version"):
        found.append(f"runs Proxmox VE {theirs[0].get('version')}")
    if len(mine) > 1:
        (quorate, online), (others, up) = (_view(rows) for rows in (mine[1], theirs[1]))
        if quorate != others:
            found.append("has quorum" if others else "has no quorum")
        found += [f"sees {name} online" for name in sorted(up - online)]
        found += [f"sees {name} offline" for name in sorted(online - up)]
    return found


def _view(rows: Iterable[Row]) -> tuple[bool, frozenset[str]]:
    rows = list(rows)
    quorate = any(int(row.get("quorate") or 0) for row in rows if row.get("type") == "cluster")
    online = (row for row in rows if row.get("type") == "node" and int(row.get("online") or 0))
    return quorate, frozenset(str(row["name"]) for row in online)
