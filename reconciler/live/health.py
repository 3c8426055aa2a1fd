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
        version, resources, status = api.get([VERSION, RESOURCES, STATUS])
    except RequestRefused:
        (version, resources), status = api.get([VERSION, RESOURCES]), None
    return with_endpoints(api, health_of(resources, status, api), str(version["version"]))


def with_endpoints(api: Api, health: Health, version: str) -> Health:
    """What each further endpoint says of the same, all at once; `version`: of the one that was
    asked."""
    if not isinstance(api, SeesEndpoints):
        return health
    asked: list[Request] = [VERSION] if health.quorate is None else [VERSION, STATUS]
    told = api.get_elsewhere(asked)
    differing = []
    for endpoint, answers in sorted(told.items()):
        words = _differences(health, version, answers) if answers else []
        if words:
            differing.append((endpoint, f"{in_prose(words)}, {api.endpoint} does not"))
    silent = tuple(sorted(endpoint for endpoint, answers in told.items() if not answers))
    return replace(health, differing=tuple(differing), silent=silent)


def _differences(mine: Health, version: str, answers: Sequence[Any]) -> list[str]:
    """What another endpoint says and the one that was asked does not."""
    found = []
    if str(answers[0]["version"]) != version:
        found.append(f"runs Proxmox VE {answers[0]['version']}")
    if len(answers) > 1:
        rows = list(answers[1])
        quorate = any(int(row.get("quorate") or 0) for row in rows if row["type"] == "cluster")
        if quorate != mine.quorate:
            found.append("has quorum" if quorate else "has no quorum")
        there = {name for name, online in mine.nodes if online}
        nodes = (row for row in rows if row["type"] == "node")
        theirs = {str(row["name"]) for row in nodes if int(row.get("online") or 0)}
        found += [f"sees {name} online" for name in sorted(theirs - there)]
        found += [f"sees {name} offline" for name in sorted(there - theirs)]
    return found
